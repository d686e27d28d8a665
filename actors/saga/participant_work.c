#include "actors/saga/participant_work.h"

#include "actors/saga/participant_store.h"
#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/wire/walk.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_BYTES_MAX = 64,
    WINDOW = 1000,
    WINDOW_MAX = 10000,
    COMMANDS_MIN =
        128, /* of a transaction, if there are as many: about as long as the disk takes */
    COMMAND_BYTES = 96,       /* about what one takes in the queue */
    SHARES = 4,               /* of a long queue each transaction takes one */
    ANSWER_BYTES = 64 * 1024, /* a body is sent that has so many */
    LOST_MAX = 3,             /* single transactions lost in a row: none of them can be stored */
    FORGET_PER_COMMAND = 2,   /* rows looked at: a round ends before the table has doubled */
    FORGET_MIN = 16,
};

#define RETENTION_US INT64_C(604800000000)

struct capstan_answer {
    inbox_answer_t status;
    buffer_t result;
    char error[INBOX_WORD_BYTES_MAX + 1];
    char text[INBOX_TEXT_BYTES_MAX + 1];
};

/* A body, of commands that came or of answers that are to go. */
typedef struct parcel {
    capstan_ref_t ref;
    buffer_t body;
} parcel_t;

typedef struct parcels {
    parcel_t *items;
    size_t head; /* those before it are done with */
    size_t count;
    size_t capacity;
} parcels_t;

/* Where the work has come to: a parcel of the queue and, in it, a command. */
typedef struct place {
    size_t parcel;
    size_t count_max; /* of commands */
    size_t count;
    bool opened;
    participant_commands_t commands;
    codec_list_t list;
} place_t;

struct worker {
    capstan_participant_options_t options; /* without its strings */
    inbox_store_t *store;
    bool opened; /* the program's `open` has succeeded */
    buffer_t opening;

    parcels_t queue;
    place_t place;     /* in the queue */
    parcels_t answers; /* to be sent */
    parcels_t pending; /* the open transaction's */
    buffer_t list;     /* the last of them, to `list_to`, which are no parcel yet */
    codec_list_writer_t writer;
    capstan_ref_t list_to;

    const saga_command_t *running; /* NULL: no handler runs */
    capstan_answer_t answer;
    uint64_t epoch; /* of the open transaction */
    int64_t now_us;
    capstan_err_t trouble; /* what was told last */
};

/* --- parcels --------------------------------------------------------------------------------- */

static parcel_t *add_parcel(parcels_t *self, capstan_ref_t ref)
{
    if (self->head == self->count) {
        self->head = self->count = 0;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->items = realloc(self->items, self->capacity * sizeof *self->items);
        ENSURE(self->items);
    }
    parcel_t *parcel = &self->items[self->count++];
    *parcel = (parcel_t){.ref = ref};
    return parcel;
}

static void drop_first(parcels_t *self)
{
    buffer_fini(&self->items[self->head++].body);
}

static void drop_all(parcels_t *self)
{
    while (self->head < self->count) {
        drop_first(self);
    }
}

static void move_all(parcels_t *self, parcels_t *from)
{
    for (; from->head < from->count; from->head++) {
        add_parcel(self, from->items[from->head].ref)->body = from->items[from->head].body;
    }
}

static void free_parcels(parcels_t *self)
{
    drop_all(self);
    free(self->items);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool is_name(const char *name)
{
    size_t size = name ? strlen(name) : 0;
    return size > 0 && size <= NAME_BYTES_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               size;
}

/* NULL: nothing. */
static const char *what_is_wrong(const capstan_participant_options_t *options)
{
    return !is_name(options->name)        ? "name: 1 to 64 letters, digits and . _ -"
           : !options->handle             ? "handle: a function"
           : options->window > WINDOW_MAX ? "window: 1 to 10000"
           : options->retention_us < 0    ? "retention_us: microseconds"
           : options->path && (options->path[0] == 0 || options->path[0] == ':')
               ? "path: a file" /* these are SQLite's names for none */
               : NULL;
}

static void encode_opening(worker_t *self, const char *name)
{
    codec_encode(participant_open_wire(),
                 &(participant_open_t){.name = slice_text(name), .window = self->options.window},
                 &self->opening);
}

static capstan_err_t open_program(worker_t *self, char *ret_text, size_t text_size)
{
    capstan_err_t err = self->options.open ? self->options.open(self->options.context,
                                                                inbox_store_database(self->store))
                                           : CAPSTAN_OK;
    self->opened = err == CAPSTAN_OK;
    if (!self->opened) {
        snprintf(ret_text, text_size, "the participant's `open` failed: %s", capstan_err_text(err));
    }
    return err;
}

capstan_err_t worker_new(const capstan_participant_options_t *options, worker_t **ret_worker,
                         char *ret_text, size_t text_size)
{
    const char *wrong = what_is_wrong(options);
    if (wrong) {
        snprintf(ret_text, text_size, "%s", wrong);
        return CAPSTAN_E_INVALID;
    }
    worker_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->options.window = options->window > 0 ? options->window : WINDOW;
    self->options.retention_us = options->retention_us > 0 ? options->retention_us : RETENTION_US;
    encode_opening(self, options->name);
    capstan_err_t err = inbox_store_open(options->path, &self->store, ret_text, text_size);
    err = err ? err : open_program(self, ret_text, text_size);
    if (err != CAPSTAN_OK) {
        worker_destroy(&self);
        return err;
    }
    *ret_worker = self;
    return CAPSTAN_OK;
}

void worker_destroy(worker_t **self_p)
{
    worker_t *self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    if (self->opened && self->options.close) {
        self->options.close(self->options.context, inbox_store_database(self->store));
    }
    inbox_store_close(&self->store);
    free_parcels(&self->queue);
    free_parcels(&self->answers);
    free_parcels(&self->pending);
    buffer_fini(&self->list);
    buffer_fini(&self->answer.result);
    buffer_fini(&self->opening);
    free(self);
}

slice_t worker_opening(const worker_t *self)
{
    return buffer_slice(&self->opening);
}

/* Told when it begins and when it is over, not with each transaction. */
static void tell_trouble(worker_t *self, capstan_err_t err, const char *what)
{
    if (err == self->trouble) {
        return;
    }
    self->trouble = err;
    if (self->options.trouble) {
        char text[256];
        snprintf(text, sizeof text, "%s: %s. %s", what, capstan_err_text(err),
                 capstan_err_remedy(err));
        self->options.trouble(self->options.context, err, err == CAPSTAN_OK ? what : text);
    }
}

/* --- answers --------------------------------------------------------------------------------- */

static void add_results(parcels_t *parcels, capstan_ref_t to, slice_t list)
{
    codec_encode(participant_results_wire(), &(participant_results_t){.results = list},
                 &add_parcel(parcels, to)->body);
}

static void close_list(worker_t *self)
{
    if (self->list.size > 0) {
        codec_list_end(&self->writer);
        add_results(&self->pending, self->list_to, buffer_slice(&self->list));
        buffer_clear(&self->list);
    }
}

static void add_answer(worker_t *self, capstan_ref_t to, const participant_result_t *result)
{
    if (self->list.size >= ANSWER_BYTES || !capstan_ref_equal(self->list_to, to)) {
        close_list(self);
    }
    if (self->list.size == 0) {
        self->writer = codec_list_begin(&self->list);
        self->list_to = to;
    }
    codec_list_add(&self->writer, participant_result_wire(), result);
}

static participant_result_t result_for(const saga_command_t *command)
{
    return (participant_result_t){.saga = command->saga,
                                  .number = command->number,
                                  .task = command->task,
                                  .phase = command->phase,
                                  .attempt = command->attempt};
}

static void set_words(capstan_answer_t *self, inbox_answer_t status, const char *word,
                      const char *text)
{
    self->status = status;
    snprintf(self->error, sizeof self->error, "%s", word ? word : "");
    snprintf(self->text, sizeof self->text, "%s", text ? text : "");
}

void capstan_answer_done(capstan_answer_t *self, capstan_slice_t result)
{
    set_words(self, INBOX_ANSWER_DONE, NULL, NULL);
    buffer_clear(&self->result);
    buffer_append(&self->result, result.data, result.size);
}

void capstan_answer_failed(capstan_answer_t *self, const char *word, const char *text)
{
    set_words(self, INBOX_ANSWER_FAILED, word, text);
}

void capstan_answer_failed_for_good(capstan_answer_t *self, const char *word, const char *text)
{
    set_words(self, INBOX_ANSWER_FINAL, word, text);
}

/* --- one command ----------------------------------------------------------------------------- */

/* A text of the program's: what is no UTF-8, also because it was cut within a character, nobody
 * could read. */
static slice_t clean_text(char *text)
{
    size_t size = strlen(text);
    while (size > 0 && !walk_is_utf8(slice_of(text, size))) {
        size--;
    }
    return slice_of(text, size);
}

/* Calls the program. */
static void handle(worker_t *self, const saga_command_t *command, const inbox_row_t *row)
{
    capstan_answer_t *answer = &self->answer;
    uint64_t timeout_ms = command->timeout_ms < INT64_MAX / 1000 ? command->timeout_ms : 0;
    bool undo = command->phase == INBOX_PHASE_UNDO;
    const capstan_command_t public = {
        .saga = command->saga,
        .number = command->number,
        .task = command->task,
        .phase = undo ? CAPSTAN_PHASE_UNDO : CAPSTAN_PHASE_ACT,
        .attempt = command->attempt,
        .action = command->action,
        .input = command->input,
        .result = undo ? row->result : slice_of(NULL, 0), /* the stored one is the true one */
        .timeout_us = (int64_t)timeout_ms * 1000,
        .db = inbox_store_database(self->store),
    };
    capstan_answer_done(answer, slice_of(NULL, 0));
    self->running = command;
    capstan_err_t err = self->options.handle(self->options.context, &public, answer);
    self->running = NULL;
    if (err != CAPSTAN_OK) {
        capstan_answer_failed(answer, capstan_err_name(err), capstan_err_text(err));
    } else if (answer->status == INBOX_ANSWER_DONE &&
               answer->result.size > INBOX_RESULT_BYTES_MAX) {
        capstan_answer_failed(answer, "RESULT", "the handler's result has more than 64 KiB");
    } else if (answer->status == INBOX_ANSWER_DONE &&
               !inbox_is_msgpack(buffer_slice(&answer->result))) {
        capstan_answer_failed(answer, "RESULT", "the handler's result is not one msgpack value");
    }
}

static capstan_err_t run(worker_t *self, const saga_command_t *command, inbox_row_t *row,
                         participant_result_t *ret_result)
{
    capstan_err_t err = inbox_store_protect(self->store);
    if (err != CAPSTAN_OK) {
        return err;
    }
    capstan_answer_t *answer = &self->answer;
    handle(self, command, row);
    bool done = answer->status == INBOX_ANSWER_DONE;
    err = done ? inbox_store_keep(self->store) : inbox_store_undo(self->store);
    participant_result_t outcome = {.status = answer->status,
                                    .result =
                                        done ? buffer_slice(&answer->result) : slice_of(NULL, 0),
                                    .error = clean_text(answer->error),
                                    .text = clean_text(answer->text)};
    inbox_end(row, command, &outcome, ret_result);
    if (err == CAPSTAN_OK && ret_result->status != INBOX_ANSWER_FAILED) {
        err = inbox_store_put(self->store, command, row, self->now_us);
    }
    return err;
}

static capstan_err_t hear(worker_t *self, const saga_command_t *command,
                          participant_result_t *ret_result)
{
    inbox_row_t row;
    capstan_err_t err = inbox_store_get(self->store, command, &row);
    if (err != CAPSTAN_OK) {
        return err;
    }
    inbox_state_t before = row.state;
    if (inbox_hear(&row, command, ret_result) == INBOX_ANSWER_RUN) {
        return run(self, command, &row, ret_result);
    }
    return row.state == before ? CAPSTAN_OK
                               : inbox_store_put(self->store, command, &row, self->now_us);
}

/* An error is the store's: the transaction is to be rolled back. */
static capstan_err_t do_command(worker_t *self, capstan_ref_t from, uint64_t epoch,
                                const saga_command_t *command)
{
    participant_result_t result = result_for(command);
    capstan_err_t err = CAPSTAN_OK;
    if (!inbox_hears(self->epoch, epoch)) {
        result.status = INBOX_ANSWER_REFUSED;
    } else if (inbox_check_command(command) != CAPSTAN_OK) {
        result.status = INBOX_ANSWER_FAILED;
        result.error = slice_text("INVALID");
        result.text = slice_text("the participant cannot read the command");
    } else {
        err = hear(self, command, &result);
    }
    if (err == CAPSTAN_OK) {
        add_answer(self, from, &result);
    }
    return err;
}

/* --- transactions ---------------------------------------------------------------------------- */

/* The next command; of a list that ends in garbage those before it. The command and the epoch that
 * goes with it live as long as the queue. */
static bool next_command(worker_t *self, place_t *place, saga_command_t *ret_command)
{
    static const char garbage[] = "commands that cannot be read";
    while (place->parcel < self->queue.count) {
        if (!place->opened) {
            slice_t body = buffer_slice(&self->queue.items[place->parcel].body);
            capstan_err_t err =
                codec_decode(participant_commands_wire(), body, &place->commands, NULL);
            err =
                err ? err
                    : codec_list_open(saga_command_wire(), place->commands.commands, &place->list);
            if (err != CAPSTAN_OK) {
                tell_trouble(self, err, garbage);
                place->parcel++;
                continue;
            }
            place->opened = true;
        }
        if (codec_list_next(&place->list, ret_command)) {
            return true;
        }
        if (place->list.fault.err != CAPSTAN_OK) {
            tell_trouble(self, place->list.fault.err, garbage);
        }
        place->opened = false;
        place->parcel++;
    }
    return false;
}

static capstan_err_t hear_epoch(worker_t *self, uint64_t epoch)
{
    if (epoch <= self->epoch) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = inbox_store_set_epoch(self->store, epoch);
    self->epoch = err == CAPSTAN_OK ? epoch : self->epoch;
    return err;
}

/* Goes on until `count_max` commands are done, or all; in the order in which they came. */
static capstan_err_t do_commands(worker_t *self, place_t *place)
{
    saga_command_t command;
    capstan_err_t err = CAPSTAN_OK;
    while (err == CAPSTAN_OK && place->count < place->count_max &&
           next_command(self, place, &command)) {
        place->count++;
        err = hear_epoch(self, place->commands.epoch);
        err = err ? err
                  : do_command(self, self->queue.items[place->parcel].ref, place->commands.epoch,
                               &command);
    }
    return err;
}

/* One transaction; what it answers counts only when it is on disk. */
static capstan_err_t transact(worker_t *self, place_t *place)
{
    self->now_us = clock_us(CLOCK_REALTIME);
    place->count = 0;
    capstan_err_t err = inbox_store_begin(self->store, &self->epoch);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = do_commands(self, place);
    close_list(self);
    err = err ? err
              : inbox_store_forget(self->store, self->now_us, self->options.retention_us,
                                   place->count * FORGET_PER_COMMAND + FORGET_MIN);
    err = err ? err : inbox_store_commit(self->store);
    if (err == CAPSTAN_OK) {
        move_all(&self->answers, &self->pending);
    } else {
        inbox_store_rollback(self->store);
        drop_all(&self->pending);
    }
    return err;
}

/* The next `count` commands, each in a transaction of its own. One that is lost again is left; when
 * several in a row are, so are the rest: the store takes nothing. */
static capstan_err_t transact_singly(worker_t *self, place_t *place, size_t count)
{
    saga_command_t left;
    capstan_err_t last = CAPSTAN_OK;
    unsigned lost = 0;
    for (size_t i = 0; i < count; i++) {
        if (lost == LOST_MAX) {
            (void)next_command(self, place, &left);
            continue;
        }
        place->count_max = 1;
        capstan_err_t err = transact(self, place);
        last = err ? err : last;
        lost = err ? lost + 1 : 0;
    }
    return last;
}

/* How many commands the next transaction takes. While it is made, the coordinator has the answers
 * of the one before; with all that is queued in one, the two would work in turn. */
static size_t next_count(const worker_t *self)
{
    size_t bytes = 0;
    for (size_t i = self->queue.head; i < self->queue.count; i++) {
        bytes += self->queue.items[i].body.size;
    }
    size_t share = bytes / COMMAND_BYTES / SHARES;
    return share > COMMANDS_MIN ? share : COMMANDS_MIN;
}

static void work_on(worker_t *self, place_t *place)
{
    place_t begin = *place;
    place->count_max = next_count(self);
    capstan_err_t err = transact(self, place);
    size_t count = place->count;
    if (err != CAPSTAN_OK && count > 1) {
        *place = begin;
        err = transact_singly(self, place, count);
        place->count = count;
    } else if (err != CAPSTAN_OK && count == 0) { /* nothing can be begun */
        place->parcel = self->queue.count;
    }
    if (err != CAPSTAN_OK || place->count > 0) { /* the end of a list alone says nothing */
        tell_trouble(self, err, "the participant's inbox");
    }
}

bool worker_has_work(const worker_t *self)
{
    return self->queue.head < self->queue.count;
}

size_t worker_work(worker_t *self)
{
    place_t *place = &self->place;
    if (self->running || !worker_has_work(self)) {
        return 0;
    }
    if (!place->opened) {
        *place = (place_t){.parcel = self->queue.head};
    }
    work_on(self, place);
    while (self->queue.head < place->parcel) {
        drop_first(&self->queue);
    }
    return place->count;
}

/* --- the shell's side ------------------------------------------------------------------------ */

static bool is_same_task(const saga_command_t *a, const saga_command_t *b)
{
    return a->number == b->number && a->task == b->task && slice_equal(a->saga, b->saga);
}

/* Of a body that came while a handler runs: what asks for the same task hears so at once. */
static void answer_busy(worker_t *self, capstan_ref_t to, slice_t body)
{
    participant_commands_t commands;
    codec_list_t list;
    saga_command_t command;
    if (codec_decode(participant_commands_wire(), body, &commands, NULL) != CAPSTAN_OK ||
        codec_list_open(saga_command_wire(), commands.commands, &list) != CAPSTAN_OK ||
        !inbox_hears(self->epoch, commands.epoch)) {
        return;
    }
    while (codec_list_next(&list, &command)) {
        if (is_same_task(self->running, &command)) {
            participant_result_t result = result_for(&command);
            buffer_t one = {0};
            result.status = INBOX_ANSWER_BUSY;
            codec_list_writer_t writer = codec_list_begin(&one);
            codec_list_add(&writer, participant_result_wire(), &result);
            codec_list_end(&writer);
            add_results(&self->answers, to, buffer_slice(&one));
            buffer_fini(&one);
        }
    }
}

void worker_add(worker_t *self, capstan_ref_t from, slice_t body)
{
    if (self->running) {
        answer_busy(self, from, body);
    }
    buffer_append(&add_parcel(&self->queue, from)->body, body.data, body.size);
}

capstan_err_t worker_opened(worker_t *self, slice_t body)
{
    participant_opened_t opened;
    capstan_err_t err = codec_decode(participant_opened_wire(), body, &opened, NULL);
    err = err ? err : inbox_store_begin(self->store, &self->epoch);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = inbox_hears(self->epoch, opened.epoch) ? hear_epoch(self, opened.epoch)
                                                 : CAPSTAN_E_STALE_EPOCH;
    err = err ? err : inbox_store_commit(self->store);
    if (err != CAPSTAN_OK) {
        inbox_store_rollback(self->store);
    }
    return err;
}

bool worker_answer(const worker_t *self, capstan_ref_t *ret_to, slice_t *ret_body)
{
    if (self->answers.head == self->answers.count) {
        return false;
    }
    const parcel_t *parcel = &self->answers.items[self->answers.head];
    *ret_to = parcel->ref;
    *ret_body = buffer_slice(&parcel->body);
    return true;
}

void worker_answered(worker_t *self)
{
    drop_first(&self->answers);
}
