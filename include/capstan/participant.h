/* Participants: programs that do the work of sagas.
 *
 * The coordinator of sagas sends a participant commands; a handler does them. An inbox, a table in
 * the participant's own database, sees to it that an action has its effect at most once, whatever
 * is sent twice, late or by a coordinator that others have replaced; docs/participants.md has the
 * rules, for other languages too.
 *
 *   static capstan_err_t handle(void *context, const capstan_command_t *command,
 *                               capstan_answer_t *answer)
 *   {
 *       ... command->action, command->input; write to command->db ...
 *       capstan_answer_done(answer, result);
 *       return CAPSTAN_OK;
 *   }
 *
 *   capstan_participant_options_t options = {.name = "ledger", .path = "ledger.db",
 *                                            .handle = handle};
 *   err = capstan_participant_start(node, &options, &participant, text, sizeof text);
 *   ...
 *   err = capstan_participant_stop(&participant, 10000000);
 *
 * or, in a process of its own, over tcp:
 *
 *   err = capstan_participant_connect(&options, &participant, text, sizeof text);
 *   while (running) {
 *       capstan_participant_poll(participant, 100000);
 *   }
 *   err = capstan_participant_stop(&participant, 10000000);
 *
 * What is effective at most once is what the handler writes to `command->db`: it is committed
 * together with the inbox's row. An effect elsewhere (a request to another system) may be had again
 * by the next attempt, when the process ends or a commit fails in between: such a handler passes
 * (saga, task) on as the key by which the other side recognises it. */
#ifndef CAPSTAN_PARTICIPANT_H
#define CAPSTAN_PARTICIPANT_H

#include <capstan/node.h>
#include <capstan/peer.h>

struct sqlite3;

typedef struct capstan_participant capstan_participant_t;

typedef enum capstan_phase {
    CAPSTAN_PHASE_ACT = 1,
    CAPSTAN_PHASE_UNDO = 2, /* the action landed: it is to be compensated */
} capstan_phase_t;

/* What is to be done. It and its slices live until the handler returns. */
typedef struct capstan_command {
    capstan_slice_t saga; /* its id; with `number` and `task` the identity of what is done */
    uint64_t number;
    uint64_t task;
    capstan_phase_t phase;
    uint64_t attempt;       /* of this phase, from 1 */
    capstan_slice_t action; /* what to do; its compensation's name in phase UNDO */
    capstan_slice_t input;  /* msgpack, or empty */
    capstan_slice_t result; /* in phase UNDO what the action returned */
    int64_t timeout_us;     /* the coordinator waits so long for this attempt; 0: it does not say */
    struct sqlite3 *db;     /* in a transaction, which the handler cannot end */
} capstan_command_t;

/* Filled in by the functions below; without them it is a `done` without a result. */
typedef struct capstan_answer capstan_answer_t;

/* Returns when the command is done, or cannot be. An error is as capstan_answer_failed with the
 * error's name and text. What was written to `db` is undone unless the answer is `done`. */
typedef capstan_err_t capstan_participate_fn(void *context, const capstan_command_t *command,
                                             capstan_answer_t *answer);

/* The command has its effect. `result` is one msgpack value of at most 64 KiB, or empty; it is
 * copied. Another one is the handler's mistake: it counts as failed, and its effect is undone. */
CAPSTAN_API void capstan_answer_done(capstan_answer_t *self, capstan_slice_t result);
/* It could not be done this time: the coordinator tries again, as the saga's definition says.
 * `word` says in one word what is wrong, by which a definition may call it final, `text` in a
 * sentence; UTF-8; beyond 64 and 256 bytes they are cut off. */
CAPSTAN_API void capstan_answer_failed(capstan_answer_t *self, const char *word, const char *text);
/* It never can be: no later attempt calls the handler, the action has no effect for ever, and the
 * saga is compensated. A compensation that fails so waits for a person; if that has it tried again,
 * the handler is called again. */
CAPSTAN_API void capstan_answer_failed_for_good(capstan_answer_t *self, const char *word,
                                                const char *text);

typedef struct capstan_participant_options {
    const char *name; /* by which definitions name it: 1 to 64 letters, digits and . _ - */
    capstan_participate_fn *handle;
    void *context;
    /* The database, made when there is none, in a folder that exists, on a local disk. It is set to
     * a write-ahead log; its tables capstan_inbox and capstan_inbox_meta are the inbox's. Several
     * processes may use it. NULL: it is in memory, and what came of commands is forgotten with the
     * process: a command that comes again then has its effect again, also one that was undone. That
     * is for actions without effect, and for those that recognise a (saga, task) themselves. */
    const char *path;
    /* Called once with the open database, outside of a transaction: the place for tables and
     * prepared statements; an error ends the start. `close` comes before the database is closed.
     * On the thread that calls `handle`. NULL: nothing to do. */
    capstan_err_t (*open)(void *context, struct sqlite3 *db);
    void (*close)(void *context, struct sqlite3 *db);
    /* The inbox could not be written, or commands not be read; called when that begins, with
     * CAPSTAN_OK when it is over. Commands that could not be stored have no effect, and no answer:
     * the coordinator sends them again. NULL: nothing is told. */
    void (*trouble)(void *context, capstan_err_t err, const char *text);
    int64_t retention_us; /* rows of the inbox are kept so long since their last change; longer than
                             a saga lives, parked or not: a command that comes later has its effect
                             again; 0: 7 days. By the clock of the day: it must not leap ahead */
    uint32_t window;      /* commands under way; 0: 1,000; at most 10,000 */
    const char *endpoint; /* capstan_participant_connect: NULL: tcp://127.0.0.1:7700 */
    const char *peer;     /* the same: name as a peer; NULL: one that nobody has */
} capstan_participant_options_t;

/* Starts a participant in the process of a node, as an actor on a cell of its own, where its
 * handler may block. It finds the coordinator whenever there is one. `options` and its strings are
 * copied. From a thread that is no cell; blocks. `ret_text` (may be NULL, with size 0) says what is
 * wrong. Errors: INVALID (an option), the store's, those of `open` and of capstan_node_spawn. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_participant_start(capstan_node_t *node, const capstan_participant_options_t *options,
                          capstan_participant_t **ret_self, char *ret_text, size_t text_size);

/* Connects to a node, for a process that hosts none. The participant is used by one thread, which
 * calls capstan_participant_poll. Blocks. Errors: INVALID (an option), the store's, those of `open`
 * and of capstan_peer_connect. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_participant_connect(const capstan_participant_options_t *options,
                            capstan_participant_t **ret_self, char *ret_text, size_t text_size);

/* Of a connected one: takes commands, does them, answers; waits at most `timeout_us` for the first
 * (up to a second longer while it looks for the coordinator). Returns how many came. To be called
 * at least once a second. Errors are not told: a connection that was lost is made anew, a
 * coordinator that has ended is looked for. */
CAPSTAN_API size_t capstan_participant_poll(capstan_participant_t *self, int64_t timeout_us);
/* The peer that it talks through, by which a handler may ask others meanwhile. A command that comes
 * again while it runs is answered `busy`. NULL: it is one of a node. */
CAPSTAN_API capstan_peer_t *capstan_participant_peer(capstan_participant_t *self);

/* Ends either: what was taken is done and answered, within `timeout_us` (a handler that runs is
 * waited for); the coordinator sends what was not to whoever opens next. NULL is accepted. From a
 * thread that is no cell; blocks. Errors: TIMEOUT (of one in a node: it is kept, and can be stopped
 * again). After the node's stop, which ends the actor, it is freed with CAPSTAN_OK. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_participant_stop(capstan_participant_t **self_p, int64_t timeout_us);

#endif
