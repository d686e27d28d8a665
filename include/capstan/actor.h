/* Actors: state that one thread at a time touches, and a mailbox.
 *
 * An actor lives in a cell (a thread). Its handlers run one after another, never at once, and must
 * not block: a handler that waits holds up every actor of its cell (actors that have to block get
 * a cell of their own). One that does not return costs its actor its life, and its thread the cell:
 * node.h says how. Everything in this header is called from inside a handler of `self`, except
 * where it says otherwise. */
#ifndef CAPSTAN_ACTOR_H
#define CAPSTAN_ACTOR_H

#include <capstan/error.h>
#include <capstan/message.h>
#include <capstan/ref.h>
#include <capstan/slice.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct capstan_node capstan_node_t;
typedef struct capstan_actor capstan_actor_t;

/* A received message. It and everything it points to live until the handler returns. A request that
 * is answered later is named by a copy of it, whose body is not to be used then. */
typedef struct capstan_message {
    uint32_t message; /* number of the message's row */
    uint32_t kind;    /* capstan_kind_t */
    uint32_t flags;
    capstan_ref_t sender;
    capstan_ref_t target;
    uint64_t correlation;
    uint64_t owner_epoch;
    int64_t deadline_us; /* on the node's monotonic clock; 0 is none */
    capstan_slice_t body;
} capstan_message_t;

/* What an actor does. `receive` is required, the others may be NULL. */
typedef struct capstan_behaviour {
    const char *name; /* a constant: it is not copied */

    /* Runs first, on the actor's cell. Failure ends the actor before it had a message. */
    capstan_err_t (*init)(capstan_actor_t *self, void *argument);

    /* One message. A returned error ends the actor; it is logged and told to those who watch. The
     * handlers below fail by capstan_actor_exit with an error, to the same effect. */
    capstan_err_t (*receive)(capstan_actor_t *self, const capstan_message_t *message);

    /* A request that this actor has read and not answered is wanted no more: its asker withdrew it
     * or has ended, or its deadline has passed there. An answer would be dropped. After this
     * handler, what the actor asked on behalf of the request ends with CANCELLED. */
    void (*cancelled)(capstan_actor_t *self, capstan_ref_t sender, uint64_t correlation);

    /* A timer of this actor is due. */
    void (*timer)(capstan_actor_t *self, uint64_t timer, void *cookie);

    /* A descriptor that this actor watches is ready (capstan_watch_fd). */
    void (*ready)(capstan_actor_t *self, void *cookie);

    /* The cell has run dry of messages for this turn, after this actor had at least one: the
     * place to send what was gathered. */
    void (*turn_end)(capstan_actor_t *self);

    /* The node begins to stop: the actor lets in no new work from outside. What it has is worked
     * off, and `stop` follows. */
    void (*stop_intake)(capstan_actor_t *self);

    /* The node is stopping, or somebody stops this actor (capstan_stop). It finishes what it must
     * and calls capstan_actor_exit, now or later. Without this handler it exits at once. */
    void (*stop)(capstan_actor_t *self);

    /* Frees the state. Runs last, on the actor's cell, also after a failed init; not after a
     * handler that did not return (CELL_HUNG), which may still use the state. */
    void (*destroy)(capstan_actor_t *self);

    /* When an actor that it is linked with ends, it hears a `down` instead of ending with it. */
    bool traps_exits;

    /* Its handlers may wait, for a disk for instance: they are not reported when they take long,
     * and never count as hung. Such an actor needs a cell of its own. */
    bool may_block;
} capstan_behaviour_t;

/* What happens to a message that does not fit the receiver's mailbox. */
typedef enum capstan_overflow {
    CAPSTAN_OVERFLOW_FAIL,        /* the sender gets MAILBOX_FULL */
    CAPSTAN_OVERFLOW_DROP_NEWEST, /* it is dropped and counted; the sender goes on */
    CAPSTAN_OVERFLOW_DROP_OLDEST, /* the oldest queued one is dropped in its place, and counted */
    /* The message waits at its sender, and the sender with it: its running handler goes on, then it
     * handles nothing but its priority lane (and timers) until what waits has been sent, in order.
     * The sender gets MAILBOX_FULL when it is no actor, when 1,024 of its messages wait already,
     * or when its waiting would close a circle of actors that wait for each other. */
    CAPSTAN_OVERFLOW_PARK,
} capstan_overflow_t;

/* Which cell, that is which thread, an actor lives in. */
typedef enum capstan_placement {
    CAPSTAN_PLACE_HERE,   /* the caller's cell; for a thread that is no cell, as SPREAD */
    CAPSTAN_PLACE_SPREAD, /* one of the node's worker cells, in turn */
    CAPSTAN_PLACE_OWN,    /* a cell for it alone (and what it starts there): it may block */
} capstan_placement_t;

typedef struct capstan_spawn_options {
    const char *name; /* unique while it lives, see capstan_resolve; 1 to 63 letters, digits and
                         . _ - ; copied. NULL: none, and status shows the behaviour's name */
    const char *cell; /* named cell, started on first use; NULL: `placement` decides */
    capstan_placement_t placement;
    void *argument;            /* passed to init; must live until then */
    uint32_t mailbox_messages; /* 0: the node's default */
    uint64_t mailbox_bytes;    /* 0: the node's default */
    capstan_overflow_t overflow;
    bool external; /* peers may find it by its name and send to it (gateway.h); else nobody from
                      outside the process can */
    bool monitor;  /* capstan_monitor from its first moment: a `down` tells also why init failed */
    bool link;     /* capstan_link from its first moment */
} capstan_spawn_options_t;

/* Starts an actor. On the caller's own cell `init` has run when this returns, and its error is
 * returned; elsewhere it runs later, and a failed init is told by a `down` to those who watch.
 * After an error nothing is left of the actor, and no `down` comes.
 * Errors: LIMIT (actors, 64 cells), EXISTS and INVALID (the name), STOPPING; when there is no cell
 * for it yet NO_DESCRIPTOR (a cell takes three), NO_THREAD, NO_MEMORY, SYSTEM. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_spawn(capstan_actor_t *self,
                                                           const capstan_behaviour_t *behaviour,
                                                           const capstan_spawn_options_t *options,
                                                           capstan_ref_t *ret_ref);

/* Ends the calling actor after the running handler. What is left in its mailbox is dropped and
 * counted as dropped(stopped). `reason` is told to those who watch; CAPSTAN_OK is a normal end. */
CAPSTAN_API void capstan_actor_exit(capstan_actor_t *self, capstan_err_t reason);

/* The actor that has this name now. NOT_FOUND when there is none. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_resolve(const capstan_actor_t *self,
                                                             const char *name,
                                                             capstan_ref_t *ret_ref);

/* The actor's own reference, for others to send to; its node; and what it was given as its state,
 * NULL at first. The state is the actor's alone: made in `init`, freed in `destroy`. */
CAPSTAN_API capstan_ref_t capstan_actor_ref(const capstan_actor_t *self);
CAPSTAN_API capstan_node_t *capstan_actor_node(const capstan_actor_t *self);
CAPSTAN_API void *capstan_actor_state(const capstan_actor_t *self);
CAPSTAN_API void capstan_actor_set_state(capstan_actor_t *self, void *state);

/* The turn's time: monotonic, and UTC; microseconds. Read once per turn, so nearly free. */
CAPSTAN_API int64_t capstan_now_us(const capstan_actor_t *self);
CAPSTAN_API int64_t capstan_utc_us(const capstan_actor_t *self);

/* Sends an event. Never blocks. The body is copied. Messages from one actor to another arrive in
 * the order sent. Errors: GONE, MAILBOX_FULL; after an error nothing was sent. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_tell(capstan_actor_t *self,
                                                          capstan_ref_t target, uint32_t message,
                                                          capstan_slice_t body);

/* The same in the priority lane: the receiver handles it before everything that is not. Order is
 * kept among the messages of one lane. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_tell_priority(capstan_actor_t *self,
                                                                   capstan_ref_t target,
                                                                   uint32_t message,
                                                                   capstan_slice_t body);

/* Sends a request. Exactly one answer follows through `receive`: a reply, or an ERROR of the same
 * correlation (TIMEOUT when the deadline passes, GONE when the receiver ends before it answered,
 * CANCELLED when this ask was made on behalf of a request that was cancelled). When an ask ends
 * without an answer, its receiver is told (see `cancelled`); a request that it has not read yet is
 * dropped.
 *
 * Inside the handler of a request, and before that is answered, the ask is made on its behalf: its
 * deadline is not later than the request's, and it ends when the request is cancelled.
 *
 * Errors as in capstan_tell; TIMEOUT when the request's deadline has passed. After an error no
 * answer follows. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_ask(capstan_actor_t *self,
                                                         capstan_ref_t target, uint32_t message,
                                                         capstan_slice_t body, int64_t timeout_us,
                                                         uint64_t *ret_correlation);

/* Asks on behalf of a request that is being worked on since an earlier handler, named by a copy of
 * its message; CANCELLED when it is not any more (answered, or cancelled). With NULL
 * the ask is on nobody's behalf, also inside the handler of a request: for work that others wait
 * for too, and for what must not be cut short. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_ask_for(
    capstan_actor_t *self, const capstan_message_t *request, capstan_ref_t target, uint32_t message,
    capstan_slice_t body, int64_t timeout_us, uint64_t *ret_correlation);

/* Withdraws a request: its answer will not come, and its receiver is told. What the receiver
 * answered in the meantime is dropped and counted. Does nothing when the ask has ended. */
CAPSTAN_API void capstan_cancel(capstan_actor_t *self, uint64_t correlation);

/* Answers a request. A reply to a sender that has gone is dropped and counted. Replies need no
 * mailbox space: the request reserved it. */
CAPSTAN_API void capstan_reply(capstan_actor_t *self, const capstan_message_t *request,
                               uint32_t message, capstan_slice_t body);
CAPSTAN_API void capstan_reply_error(capstan_actor_t *self, const capstan_message_t *request,
                                     capstan_err_t err, const char *text);

/* True when `message` is an ERROR, the end of a request without a reply: why, and in words what,
 * where and what to do. `ret_text` may be NULL; the text lives as long as the message. */
CAPSTAN_API bool capstan_message_is_error(const capstan_message_t *message, capstan_err_t *ret_err,
                                          capstan_slice_t *ret_text);

/* A timer that fires once, `after_us` microseconds from now. Returns its number, never 0 (but for a
 * handler that has lost its cell). */
CAPSTAN_API uint64_t capstan_timer_start(capstan_actor_t *self, int64_t after_us, void *cookie);
CAPSTAN_API void capstan_timer_cancel(capstan_actor_t *self, uint64_t timer);

/* Watches a descriptor: `ready` is called with this cookie, which names the watch, whenever there
 * is something to read (or its other end is closed), at most once per turn, until what is there was
 * read. The descriptor stays the caller's; it is closed after capstan_unwatch or in `destroy`,
 * which runs when the actor's watches have ended. The behaviour has `ready`. Errors: LIMIT (64 per
 * cell).
 */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_watch_fd(capstan_actor_t *self, int fd,
                                                              void *cookie);
CAPSTAN_API void capstan_unwatch(capstan_actor_t *self, void *cookie);

/* Asks for one `down` message when `target` ends; at once, with reason GONE, when it has ended or
 * never was. Asking twice changes nothing. Errors: INVALID (the null reference). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_monitor(capstan_actor_t *self,
                                                             capstan_ref_t target);
/* Takes the wish back: no `down` of that actor comes any more, not even one that is on its way. */
CAPSTAN_API void capstan_demonitor(capstan_actor_t *self, capstan_ref_t target);

/* Links the two actors: when one ends with an error, the other ends with the error LINKED, after
 * its running handler; one whose behaviour traps exits hears a `down` instead, of a normal end too.
 * A link to an actor that has ended counts as its failure, with reason GONE. Linking twice changes
 * nothing. Errors: INVALID (the null reference). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_link(capstan_actor_t *self,
                                                          capstan_ref_t target);
/* Ends the link, whoever of the two made it. */
CAPSTAN_API void capstan_unlink(capstan_actor_t *self, capstan_ref_t target);

/* True when `message` is a `down`: which actor has ended, and why (CAPSTAN_OK: normally). */
CAPSTAN_API bool capstan_message_is_down(const capstan_message_t *message, capstan_ref_t *ret_actor,
                                         capstan_err_t *ret_reason);

/* A message of this node that was sent and not delivered. The slices live as long as the message
 * that told of it. */
typedef struct capstan_dead_letter {
    capstan_slice_t reason; /* "stopped", "overflow", "expired", "cancelled" ... */
    uint32_t message;       /* number of its row */
    uint32_t kind;          /* capstan_kind_t */
    capstan_ref_t sender;
    capstan_ref_t target;
    uint64_t size;        /* bytes of its body */
    capstan_slice_t body; /* its first bytes, at most 256 */
} capstan_dead_letter_t;

/* From now on the calling actor is told of every message that the node drops, as far as its mailbox
 * has room; it gives that up by unsubscribing, or ends. Errors: LIMIT (8 subscribers). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_dead_letters_subscribe(capstan_actor_t *self);
CAPSTAN_API void capstan_dead_letters_unsubscribe(capstan_actor_t *self);
/* True when `message` tells of a dead letter. */
CAPSTAN_API bool capstan_message_is_dead_letter(const capstan_message_t *message,
                                                capstan_dead_letter_t *ret_letter);

/* Stops another actor. It hears `stop` before the messages in its mailbox, and ends when it is
 * done; after `timeout_us` microseconds it is ended between two of its handlers, with reason
 * KILLED. 0 ends it without `stop`; INT64_MAX waits for ever. Never blocks: a monitor tells of the
 * end. A handler that does not return is not ended by it. Errors: GONE. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_stop(capstan_actor_t *self,
                                                          capstan_ref_t target, int64_t timeout_us);

#endif
