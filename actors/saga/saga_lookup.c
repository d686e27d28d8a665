/* Looking up what is not in memory: an id, a business key, what is due soon. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>

/* --- lanes ----------------------------------------------------------------------------------- */

static uint64_t term_hash(const saga_shell_t *self, slice_t term)
{
    return siphash13(self->seed, 0, term);
}

static bool has_term(const void *value, const void *wanted)
{
    const lane_t *lane = value;
    return slice_equal(slice_of(lane->term, lane->term_size), *(const slice_t *)wanted);
}

static lane_t *lane_find(const saga_shell_t *self, slice_t term)
{
    return map_find(&self->lookups.lanes, term_hash(self, term), has_term, &term);
}

static lane_t *lane_get(saga_shell_t *self, slice_t term)
{
    lane_t *lane = lane_find(self, term);
    if (!lane) {
        lane = calloc(1, sizeof *lane + term.size);
        ENSURE(lane);
        lane->last = &lane->first;
        lane->term_size = term.size;
        memcpy(lane->term, term.data, term.size);
        map_add(&self->lookups.lanes, term_hash(self, term), lane);
    }
    return lane;
}

static void lane_remove(saga_shell_t *self, lane_t *lane)
{
    map_remove(&self->lookups.lanes, term_hash(self, slice_of(lane->term, lane->term_size)), lane);
    free(lane);
}

static void want_ask(saga_shell_t *self, lane_t *lane)
{
    lookups_t *lookups = &self->lookups;
    if (!lookups->asking_last) {
        lookups->asking_last = &lookups->asking_first;
    }
    lane->asking = true;
    lane->next_asking = NULL;
    *lookups->asking_last = lane;
    lookups->asking_last = &lane->next_asking;
}

static lookup_waiter_t *waiter_new(const lookup_waiter_t *waiter, slice_t body)
{
    lookup_waiter_t *copy = malloc(sizeof *copy + body.size);
    ENSURE(copy);
    *copy = *waiter;
    copy->next = NULL;
    copy->body_size = body.size;
    if (body.size > 0) {
        memcpy(copy->body, body.data, body.size);
    }
    return copy;
}

static void park(saga_shell_t *self, slice_t term, const lookup_waiter_t *waiter, slice_t body)
{
    lane_t *lane = lane_get(self, term);
    bool first = !lane->first;
    *lane->last = waiter_new(waiter, body);
    lane->last = &(*lane->last)->next;
    self->lookups.waiters++;
    if (first) {
        want_ask(self, lane);
    }
}

static slice_t id_term(slice_t id, uint8_t out[LOOKUP_TERM_MAX])
{
    out[0] = TERM_ID;
    memcpy(out + 1, id.data, id.size);
    return slice_of(out, id.size + 1);
}

/* --- parking --------------------------------------------------------------------------------- */

/* What no saga can have as its id needs no look-up. A child's is longer than those of people. */
static bool is_id(slice_t id)
{
    return id.size > 0 && id.size < LOOKUP_TERM_MAX;
}

static void park_if_room(saga_shell_t *self, slice_t term, const lookup_waiter_t *request,
                         slice_t body)
{
    if (self->lookups.waiters < self->settings->lookups_max) {
        park(self, term, request, body);
    } else {
        shell_refuse(self, &request->message, CAPSTAN_E_LIMIT,
                     "too many requests wait until sagas are read: saga.lookups_max");
    }
}

bool lookup_park_request(saga_shell_t *self, const capstan_message_t *message, slice_t id)
{
    uint8_t text[LOOKUP_TERM_MAX];
    if (!is_id(id)) {
        return false;
    }
    slice_t term = id_term(id, text);
    bool waits = lane_find(self, term) != NULL; /* it would overtake those before it */
    if (!waits && (coordinator_find(self->core, id) || !stored_ids_may_have(self, id))) {
        return false;
    }
    park_if_room(self, term, &(lookup_waiter_t){.kind = WAITER_REQUEST, .message = *message},
                 message->body);
    return true;
}

void lookup_park_fork(saga_shell_t *self, const capstan_message_t *request, slice_t id,
                      slice_t begin)
{
    uint8_t text[LOOKUP_TERM_MAX];
    if (!is_id(id)) {
        shell_refuse(self, request, CAPSTAN_E_SAGA_ID, NULL);
        return;
    }
    lookup_waiter_t waiter = {.kind = WAITER_FORK, .message = *request};
    park_if_room(self, id_term(id, text), &waiter, begin);
}

void lookup_park_child(saga_shell_t *self, uint64_t parent, uint64_t task, slice_t id)
{
    uint8_t text[LOOKUP_TERM_MAX];
    ENSURE(is_id(id));
    lookup_waiter_t waiter = {.kind = WAITER_CHILD, .parent = parent, .task = task};
    park(self, id_term(id, text), &waiter, (slice_t){0});
}

void lookup_park_event(saga_shell_t *self, const lookup_waiter_t *event, slice_t key,
                       slice_t payload)
{
    uint8_t term[LOOKUP_TERM_MAX];
    ENSURE(key.size <= SAGA_KEY_MAX);
    term[0] = TERM_WANTS;
    memcpy(term + 1, key.data, key.size);
    park(self, slice_of(term, key.size + 1), event, payload);
}

/* --- handling -------------------------------------------------------------------------------- */

static slice_t waiter_body(const lookup_waiter_t *waiter)
{
    return slice_of(waiter->body, waiter->body_size);
}

static void handle_waiter(saga_shell_t *self, lookup_waiter_t *waiter)
{
    waiter->message.body = waiter_body(waiter);
    switch (waiter->kind) {
    case WAITER_REQUEST:
        shell_handle(self, &waiter->message);
        break;
    case WAITER_FORK:
        requests_start_fork(self, &waiter->message, waiter_body(waiter));
        break;
    case WAITER_EVENT:
        members_event(self, waiter);
        break;
    case WAITER_CHILD:
        coordinator_child(self->core, capstan_utc_us(self->self), shell_dice(self), waiter->parent,
                          waiter->task, &self->effects);
        shell_take_effects(self);
        break;
    }
}

/* A child whose row cannot be read is asked for again with the next restart: its parent waits. */
static void refuse_waiter(saga_shell_t *self, lookup_waiter_t *waiter, capstan_err_t err)
{
    if (waiter->kind == WAITER_REQUEST || waiter->kind == WAITER_FORK) {
        shell_refuse(self, &waiter->message, err, NULL);
    } else if (waiter->kind == WAITER_EVENT) {
        members_delay(self, waiter);
    }
}

static lookup_waiter_t *lane_take(saga_shell_t *self, lane_t *lane)
{
    lookup_waiter_t *waiter = lane->first;
    lane->first = waiter->next;
    lane->last = lane->first ? lane->last : &lane->first;
    self->lookups.waiters--;
    return waiter;
}

/* Whether the first of the lane can be handled. An event may be awaited by sagas in the store,
 * whoever is in memory. */
static bool is_known(const saga_shell_t *self, const lane_t *lane)
{
    if (lane->answered) {
        return true;
    }
    slice_t id = slice_of(lane->term + 1, lane->term_size - 1);
    return lane->first->kind != WAITER_EVENT && coordinator_find(self->core, id);
}

/* The lane is there while its first waiter is handled, so that what that leads to queues up. */
static void run_lane(saga_shell_t *self, lane_t *lane)
{
    while (lane->first && is_known(self, lane)) {
        lookup_waiter_t *waiter = lane_take(self, lane);
        if (lane->err) {
            refuse_waiter(self, waiter, lane->err);
        } else {
            handle_waiter(self, waiter);
        }
        free(waiter);
        /* What was read for an id holds for those behind it too: nobody has left memory since. */
        lane->answered = lane->answered && lane->first && lane->term[0] == TERM_ID;
        lane->err = lane->answered ? lane->err : CAPSTAN_OK;
        lane->terms = 0;
    }
    if (lane->asking) {
        return; /* what it led to has come to this lane */
    }
    if (lane->first) {
        want_ask(self, lane);
    } else {
        lane_remove(self, lane);
    }
}

/* --- asking ---------------------------------------------------------------------------------- */

/* The term of the question: the lane's own, and for an event that may start a saga, the one of its
 * place, so that an event that is heard twice finds the saga which it has started. */
static void ask_term(const saga_shell_t *self, const lane_t *lane, buffer_t *out)
{
    const lookup_waiter_t *event = lane->first;
    if (lane->terms == 0) {
        buffer_append(out, lane->term, lane->term_size);
        return;
    }
    buffer_t place = {0};
    codec_encode(saga_place_wire(),
                 &(saga_place_t){.topic = slice_text(self->members.list[event->member]->topic),
                                 .partition = event->partition,
                                 .offset = event->offset},
                 &place);
    term_write(out, TERM_PLACE, buffer_slice(&place), (slice_t){0});
    buffer_fini(&place);
}

static uint64_t ask_find(saga_shell_t *self, const lane_t *lane, slice_t after)
{
    buffer_t term = {0};
    buffer_t terms = {0};
    ask_term(self, lane, &term);
    codec_list_writer_t list = codec_list_begin(&terms);
    codec_list_add(&list, snapshot_term_wire(), &(snapshot_term_t){.term = buffer_slice(&term)});
    codec_list_end(&list);
    uint64_t correlation = shell_ask(self, self->reader, snapshot_find_wire(),
                                     &(snapshot_find_t){.stream = self->stream,
                                                        .terms = buffer_slice(&terms),
                                                        .after = after,
                                                        .count_max = UINT32_MAX,
                                                        .bytes_max = SAGA_PAGE_BYTES});
    buffer_fini(&term);
    buffer_fini(&terms);
    return correlation;
}

static bool ask(saga_shell_t *self, lane_t *lane, slice_t after)
{
    lookups_t *lookups = &self->lookups;
    size_t place = 0;
    while (place < LOOKUP_ASKS_MAX && lookups->asks[place].correlation != 0) {
        place++;
    }
    ENSURE(place < LOOKUP_ASKS_MAX);
    uint64_t correlation = ask_find(self, lane, after);
    if (correlation == 0) {
        return false; /* the reader is behind by a whole mailbox */
    }
    lookups->asks[place] = (lookup_ask_t){.correlation = correlation, .lane = lane};
    lookups->ask_count++;
    lookups->reads++;
    METRIC_ADD(saga, looked_up, 1);
    return true;
}

void lookup_turn_end(saga_shell_t *self)
{
    lookups_t *lookups = &self->lookups;
    while (lookups->asking_first && lookups->ask_count < LOOKUP_ASKS_MAX && !eviction_wants(self)) {
        lane_t *lane = lookups->asking_first;
        lookups->asking_first = lane->next_asking;
        if (!lookups->asking_first) {
            lookups->asking_last = &lookups->asking_first;
        }
        lane->asking = false;
        if (!lane->first || is_known(self, lane)) {
            run_lane(self, lane);
        } else if (!ask(self, lane, (slice_t){0})) {
            want_ask(self, lane);
            return;
        }
    }
}

/* --- answers --------------------------------------------------------------------------------- */

capstan_err_t lookup_load(saga_shell_t *self, slice_t rows, uint64_t *ret_count)
{
    codec_list_t list;
    snapshot_row_t row;
    capstan_err_t result = codec_list_open(snapshot_row_wire(), rows, &list);
    while (result != CAPSTAN_E_MALFORMED && codec_list_next(&list, &row)) {
        uint64_t number = 0;
        (void)row_number(row.key, &number);
        bool resident = coordinator_get(self->core, number) != NULL;
        if (coordinator_load(self->core, row.value) == CAPSTAN_OK) {
            *ret_count += !resident;
            if (!resident) {
                rows_rests(self, number);
            }
        } else {
            LOG(saga, row_damaged, log_string("row", "saga"), log_uint("number", number));
            METRIC_ADD(saga, rows_damaged, 1);
            result = CAPSTAN_E_STORE_CORRUPT;
        }
    }
    return result;
}

static bool wants_place(const lane_t *lane)
{
    return lane->first->kind == WAITER_EVENT && lane->first->starts && lane->terms == 1;
}

static void on_find(saga_shell_t *self, lane_t *lane, const capstan_message_t *message)
{
    snapshot_rows_t rows = {0};
    uint64_t count = 0;
    capstan_err_t err = message->kind == CAPSTAN_KIND_ERROR
                            ? message_failure(message)
                            : codec_decode(snapshot_rows_wire(), message->body, &rows, NULL);
    err = err ? err : lookup_load(self, rows.rows, &count);
    if (err != CAPSTAN_OK) {
        LOG(saga, lookup_failed, log_error(err));
        lane->err = err == CAPSTAN_E_STORE_CORRUPT ? err : CAPSTAN_E_UNAVAILABLE;
    } else if (!rows.end) {
        if (ask(self, lane, rows.next)) {
            return;
        }
        lane->err = CAPSTAN_E_UNAVAILABLE;
    } else {
        lane->terms++;
        if (wants_place(lane)) {
            want_ask(self, lane);
            return;
        }
    }
    lane->answered = true;
    run_lane(self, lane);
}

static bool find_answer(saga_shell_t *self, const capstan_message_t *message)
{
    lookups_t *lookups = &self->lookups;
    size_t place = 0;
    while (place < LOOKUP_ASKS_MAX && lookups->asks[place].correlation != message->correlation) {
        place++;
    }
    if (place == LOOKUP_ASKS_MAX) {
        return false;
    }
    lane_t *lane = lookups->asks[place].lane;
    lookups->asks[place] = (lookup_ask_t){0};
    lookups->ask_count--;
    lookups->reads--;
    on_find(self, lane, message);
    return true;
}

bool lookup_answer(saga_shell_t *self, const capstan_message_t *message)
{
    return find_answer(self, message) || due_answer(self, message);
}

/* --- the end --------------------------------------------------------------------------------- */

static void free_lanes(saga_shell_t *self, capstan_err_t err)
{
    lookups_t *lookups = &self->lookups;
    size_t position = 0;
    for (lane_t *lane; (lane = map_next(&lookups->lanes, &position));) {
        while (lane->first) {
            lookup_waiter_t *waiter = lane_take(self, lane);
            if (err != CAPSTAN_OK && waiter->kind != WAITER_EVENT) {
                refuse_waiter(self, waiter, err);
            }
            free(waiter);
        }
        free(lane);
    }
    map_fini(&lookups->lanes);
    lookups->lanes = (map_t){0};
}

void lookup_forget(saga_shell_t *self, capstan_err_t err)
{
    lookups_t *lookups = &self->lookups;
    for (size_t i = 0; i < LOOKUP_ASKS_MAX; i++) {
        capstan_cancel(self->self, lookups->asks[i].correlation);
    }
    capstan_cancel(self->self, lookups->due_ask);
    free_lanes(self, err);
    buffer_fini(&lookups->due_after);
    *lookups = (lookups_t){0};
}

void lookup_fini(saga_shell_t *self)
{
    free_lanes(self, CAPSTAN_OK);
    buffer_fini(&self->lookups.due_after);
}
