/* The stop of a node: its phases, who is late, and what other threads may do meanwhile. */
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGE_work = 0x8000,
    MESSAGE_release,
    WORK = 2000,
    MANY = 200000, /* actors */
    STOP_US = 60000000,
};

/* An actor that passes work on to the next one, and keeps a journal of what it hears. */
typedef struct worker {
    capstan_ref_t next; /* null: the last one */
    bool waits;         /* in `stop`, for MESSAGE_release */
    bool endless;       /* sends itself whatever it gets */
    sem_t *blocks;      /* in `stop`, until it is posted */
    sem_t *blocks_work; /* in `receive` */
    int done;           /* messages handled */
    int done_at_stop;   /* of them, when it heard `stop`; -1: it did not */
    int intake_at;      /* place among all handlers of all workers */
    int stop_at;
} worker_t;

static _Atomic int place;

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static void block(sem_t *until)
{
    while (sem_wait(until) != 0) {
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    worker_t *worker = capstan_actor_state(self);
    if (message->message == MESSAGE_release) {
        capstan_actor_exit(self, CAPSTAN_OK);
        return CAPSTAN_OK;
    }
    worker->done++;
    if (worker->blocks_work) {
        block(worker->blocks_work);
    }
    if (worker->endless) {
        (void)!capstan_tell(self, capstan_actor_ref(self), MESSAGE_work, (slice_t){0});
    } else if (!capstan_ref_is_null(worker->next)) {
        cr_assert_eq(capstan_tell(self, worker->next, MESSAGE_work, (slice_t){0}), CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static void stop_intake(capstan_actor_t *self)
{
    worker_t *worker = capstan_actor_state(self);
    worker->intake_at = atomic_fetch_add(&place, 1) + 1;
}

static void stop(capstan_actor_t *self)
{
    worker_t *worker = capstan_actor_state(self);
    worker->stop_at = atomic_fetch_add(&place, 1) + 1;
    worker->done_at_stop = worker->done;
    if (worker->blocks) {
        block(worker->blocks);
    }
    if (!worker->waits) {
        capstan_actor_exit(self, CAPSTAN_OK);
    }
}

static const capstan_behaviour_t behaviour = {
    .name = "worker",
    .init = init,
    .receive = receive,
    .stop_intake = stop_intake,
    .stop = stop,
};

static capstan_node_t *start(bool strict)
{
    capstan_node_t *node;
    atomic_store(&place, 0);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = strict}, &node),
                 CAPSTAN_OK);
    return node;
}

static capstan_ref_t spawn(capstan_node_t *node, const char *name, const char *cell,
                           worker_t *worker)
{
    capstan_ref_t ref;
    worker->done_at_stop = -1;
    cr_assert_eq(capstan_node_spawn(
                     node, &behaviour,
                     &(capstan_spawn_options_t){.name = name, .cell = cell, .argument = worker},
                     &ref),
                 CAPSTAN_OK);
    return ref;
}

static void tell(capstan_node_t *node, capstan_ref_t ref, uint32_t message)
{
    cr_assert_eq(capstan_node_tell(node, ref, message, (slice_t){0}), CAPSTAN_OK);
}

/* --- phases ---------------------------------------------------------------------------------- */

/* The host's actors stop newest first, so that the one at the end of the chain hears it before
 * those who send to it: without a drain, it would miss what they still pass on. */
static void work_off(bool strict)
{
    static const char *const cells[] = {"one", "two", "three", "one"};
    enum { LENGTH = 4 };
    worker_t workers[LENGTH] = {{.done = 0}};
    capstan_ref_t refs[LENGTH];
    capstan_node_t *node = start(strict);
    for (int i = 0; i < LENGTH; i++) {
        refs[i] = spawn(node, NULL, cells[i], &workers[i]);
    }
    for (int i = 0; i + 1 < LENGTH; i++) {
        workers[i].next = refs[i + 1];
    }
    for (int i = 0; i < WORK; i++) {
        tell(node, refs[0], MESSAGE_work);
    }
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    for (int i = 0; i < LENGTH; i++) {
        cr_assert_eq(workers[i].done_at_stop, WORK, "worker %d had done %d", i,
                     workers[i].done_at_stop);
        cr_assert_leq(workers[i].intake_at, LENGTH, "all intake ends before anyone stops");
        cr_assert_eq(workers[i].stop_at, LENGTH + LENGTH - i);
    }
}

Test(node_stop, works_off_what_was_let_in_before_anyone_hears_stop)
{
    work_off(false);
    work_off(true);
}

Test(node_stop, goes_on_when_work_never_ends)
{
    worker_t endless = {.endless = true};
    worker_t other = {.done = 0};
    capstan_node_t *node;
    cr_assert_eq(
        capstan_node_new(&(capstan_node_options_t){.stop = {.intake_us = 20000, .drain_us = 20000}},
                         &node),
        CAPSTAN_OK);
    tell(node, spawn(node, NULL, "one", &endless), MESSAGE_work);
    tell(node, spawn(node, NULL, "two", &other), MESSAGE_work);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_geq(endless.done_at_stop, 1);
    cr_assert_eq(other.done_at_stop, 1);
}

/* --- the late -------------------------------------------------------------------------------- */

typedef struct names {
    char text[256];
} names_t;

static void note(void *context, const char *name)
{
    names_t *names = context;
    size_t used = strlen(names->text);
    snprintf(names->text + used, sizeof names->text - used, "%s ", name);
}

/* Each try ends in time. On a busy machine others may be late in the first tries as well; in the
 * end it is the one alone. */
static void stop_until_late_alone(capstan_node_t **node, const char *name)
{
    enum { TRIES = 100 };
    names_t names;
    int tries = 0;
    do {
        names = (names_t){{0}};
        cr_assert_eq(capstan_node_stop(node, 200000, note, &names), CAPSTAN_E_STOP_TIMEOUT);
        cr_assert_not_null(*node);
    } while (strcmp(names.text, name) != 0 && ++tries < TRIES);
    cr_assert_str_eq(names.text, name);
}

/* The one that blocks is the newest, so that it is told first. */
Test(node_stop, names_the_one_that_blocks_and_stops_the_others)
{
    sem_t until;
    cr_assert_eq(sem_init(&until, 0, 0), 0);
    worker_t others[2] = {{.done = 0}};
    worker_t blocking = {.blocks = &until};
    capstan_node_t *node = start(false);
    spawn(node, "journal", "journal", &others[0]);
    spawn(node, "innocent", "same", &others[1]);
    spawn(node, "blocking", "same", &blocking);
    stop_until_late_alone(&node, "blocking ");
    cr_assert_neq(others[0].done_at_stop, -1, "one that hangs kept another from its stop");
    sem_post(&until);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK, "tried again");
    cr_assert_null(node);
    cr_assert_neq(others[1].done_at_stop, -1);
}

Test(node_stop, names_the_one_whose_message_never_ends)
{
    sem_t until;
    cr_assert_eq(sem_init(&until, 0, 0), 0);
    worker_t blocking = {.blocks_work = &until};
    worker_t other = {.done = 0};
    capstan_node_t *node = start(false);
    spawn(node, "other", "other", &other);
    tell(node, spawn(node, "blocking", "same", &blocking), MESSAGE_work);
    stop_until_late_alone(&node, "blocking ");
    sem_post(&until);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}

/* --- other threads --------------------------------------------------------------------------- */

typedef struct outsider {
    capstan_node_t *node;
    capstan_ref_t target;
    _Atomic bool *gone_on;
    uint64_t taken;
    capstan_err_t last;
} outsider_t;

static void *tell_until_refused(void *argument)
{
    outsider_t *self = argument;
    do {
        self->last = capstan_node_tell(self->node, self->target, MESSAGE_work, (slice_t){0});
        self->taken += self->last == CAPSTAN_OK;
    } while (self->last != CAPSTAN_E_STOPPING);
    return NULL;
}

static void *ask_until_refused(void *argument)
{
    outsider_t *self = argument;
    do {
        self->last = capstan_node_ask(self->node, self->target, MESSAGE_work, (slice_t){0}, STOP_US,
                                      NULL, NULL);
        self->taken += self->last == CAPSTAN_OK;
    } while (self->last != CAPSTAN_E_STOPPING);
    return NULL;
}

static capstan_err_t leave_at_once(capstan_actor_t *self, void *argument)
{
    (void)argument;
    capstan_actor_exit(self, CAPSTAN_OK);
    return CAPSTAN_OK;
}

static void *spawn_until_refused(void *argument)
{
    static const capstan_behaviour_t short_lived = {
        .name = "short-lived", .init = leave_at_once, .receive = receive};
    outsider_t *self = argument;
    capstan_ref_t ref;
    do {
        self->last = capstan_node_spawn(self->node, &short_lived,
                                        &(capstan_spawn_options_t){.cell = "three"}, &ref);
    } while (self->last == CAPSTAN_OK);
    return NULL;
}

static capstan_err_t answer_work(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_reply(self, message, MESSAGE_work, (slice_t){0});
    return CAPSTAN_OK;
}

static void stop_under_load(bool strict)
{
    static const capstan_behaviour_t answering = {.name = "answering", .receive = answer_work};
    static void *(*const calls[])(void *) = {tell_until_refused, ask_until_refused,
                                             tell_until_refused, ask_until_refused,
                                             spawn_until_refused};
    enum { THREADS = sizeof calls / sizeof calls[0] };
    /* Threads that tell without end may keep the drain going for as long as it lasts. */
    capstan_node_t *node;
    const capstan_node_options_t options = {.strict_wire = strict, .stop = {.drain_us = 100000}};
    cr_assert_eq(capstan_node_new(&options, &node), CAPSTAN_OK);
    capstan_ref_t refs[2];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(capstan_node_spawn(node, &answering,
                                        &(capstan_spawn_options_t){.cell = i ? "one" : "two"},
                                        &refs[i]),
                     CAPSTAN_OK);
    }
    pthread_t threads[THREADS];
    outsider_t outsiders[THREADS];
    for (int i = 0; i < THREADS; i++) {
        outsiders[i] = (outsider_t){.node = node, .target = refs[i / 2 % 2]};
        cr_assert_eq(pthread_create(&threads[i], NULL, calls[i], &outsiders[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        sched_yield();
    }
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(outsiders[i].last, CAPSTAN_E_STOPPING);
    }
}

Test(node_stop, refuses_what_other_threads_ask_and_start_during_it_and_after_it)
{
    for (int i = 0; i < 10; i++) {
        stop_under_load(i % 2);
    }
}

Test(node_stop, takes_messages_for_those_who_are_finishing)
{
    worker_t waiting = {.waits = true};
    names_t names = {{0}};
    capstan_node_t *node = start(false);
    capstan_ref_t ref = spawn(node, "waiting", "one", &waiting);
    cr_assert_eq(capstan_node_stop(&node, 50000, note, &names), CAPSTAN_E_STOP_TIMEOUT);
    cr_assert_str_eq(names.text, "waiting ");
    cr_assert_eq(capstan_node_ask(node, ref, MESSAGE_work, (slice_t){0}, STOP_US, NULL, NULL),
                 CAPSTAN_E_STOPPING);
    tell(node, ref, MESSAGE_release);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}

static capstan_err_t start_many(capstan_actor_t *self, void *argument)
{
    static const capstan_behaviour_t one = {.name = "one", .receive = receive};
    capstan_ref_t ref;
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(
            capstan_spawn(self, &one, &(capstan_spawn_options_t){.argument = argument}, &ref),
            CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

/* A walk over them that began anew after each would take minutes. */
Test(node_stop, of_many_actors_takes_as_long_as_they_are_many, .timeout = 300)
{
    static const capstan_behaviour_t many = {
        .name = "many", .init = start_many, .receive = receive};
    capstan_node_t *node;
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.actors_max = MANY + 1024}, &node),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(node, &many, &(capstan_spawn_options_t){0}, &ref), CAPSTAN_OK);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}

Test(node_stop, is_one_threads_at_a_time_and_leaves_nothing_to_stop)
{
    capstan_node_t *node = start(false);
    capstan_node_t *other = node;
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK, "NULL: nothing to do");
    cr_assert_eq(capstan_node_stop(&other, STOP_US, NULL, NULL), CAPSTAN_E_STOPPING);
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_resolve(other, "worker", &ref), CAPSTAN_E_STOPPING);
}

/* A thread that waits for a cell which hangs is not held up beyond its own deadline. */
Test(node_stop, is_not_needed_to_get_an_ask_back_from_an_actor_that_hangs)
{
    sem_t until;
    cr_assert_eq(sem_init(&until, 0, 0), 0);
    worker_t blocking = {.blocks_work = &until};
    capstan_node_t *node = start(false);
    capstan_ref_t ref = spawn(node, "blocking", "same", &blocking);
    tell(node, ref, MESSAGE_work);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(capstan_node_ask(node, ref, MESSAGE_work, (slice_t){0}, 10000, NULL, NULL),
                     CAPSTAN_E_TIMEOUT);
    }
    sem_post(&until);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_eq(blocking.done, 1, "what nobody waited for any more was not done");
}
