/* Goal: a handler that holds up its cell is reported once, with actor, message and backtrace, and
 * again when it has returned; handlers that may take their time are not. The tests wait for the
 * report itself, never for a time. */
#include "runtime/runtime.h"
#include "runtime/runtime_metrics.h"
#include "tests/integration/runtime/log_kit.h"
#include "tests/kit/shop_messages.h"

#include <capstan/node.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>

enum {
    MESSAGE_wait = 0x9000, /* body: a sem_t *; waits for it */
    MESSAGE_spin,          /* body: an atomic_bool *; computes until it is set */
    MESSAGE_spawn_waiting, /* body: a sem_t *; spawns one whose init waits for it */
    MESSAGE_hello,         /* request */
    STOP_US = 60000000,
};

__attribute__((noinline)) static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
    }
}

static void *pointer_in(const capstan_message_t *message)
{
    void *pointer;
    cr_assert_eq(message->body.size, sizeof pointer);
    memcpy(&pointer, message->body.data, sizeof pointer);
    return pointer;
}

static capstan_err_t ignore(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static capstan_err_t wait_in_init(capstan_actor_t *self, void *argument)
{
    (void)self;
    wait_for(argument);
    return CAPSTAN_OK;
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    static const capstan_behaviour_t waiting = {
        .name = "waiting child", .init = wait_in_init, .receive = ignore};
    capstan_ref_t child;
    switch (message->message) {
    case MESSAGE_wait:
    case MESSAGE_shop_closed:
        wait_for(pointer_in(message));
        break;
    case MESSAGE_spin:
        while (!atomic_load((atomic_bool *)pointer_in(message))) {
        }
        break;
    case MESSAGE_spawn_waiting:
        return capstan_spawn(self, &waiting,
                             &(capstan_spawn_options_t){.argument = pointer_in(message)}, &child);
    default:
        capstan_reply(self, message, MESSAGE_hello, (slice_t){0});
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t worker_behaviour = {.name = "worker", .receive = receive};
static const capstan_behaviour_t patient_behaviour = {
    .name = "patient", .receive = receive, .may_block = true};

typedef struct stage {
    FILE *log;
    capstan_node_t *node;
    capstan_ref_t worker;
    sem_t gate;
} stage_t;

static capstan_ref_t spawn(capstan_node_t *node, const capstan_behaviour_t *behaviour,
                           const char *name)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(node, behaviour,
                                    &(capstan_spawn_options_t){.name = name, .cell = name}, &ref),
                 CAPSTAN_OK);
    return ref;
}

static void open_stage(stage_t *stage, capstan_node_options_t options)
{
    stage->log = log_kit_open();
    cr_assert_eq(capstan_node_new(&options, &stage->node), CAPSTAN_OK);
    cr_assert_eq(capstan_node_register(stage->node, &shop_table, NULL, 0), CAPSTAN_OK);
    stage->worker = spawn(stage->node, &worker_behaviour, "bob");
    cr_assert_eq(sem_init(&stage->gate, 0, 0), 0);
}

static void close_stage(stage_t *stage)
{
    cr_assert_eq(capstan_node_stop(&stage->node, STOP_US, NULL, NULL), CAPSTAN_OK);
    sem_destroy(&stage->gate);
}

static void tell(const stage_t *stage, capstan_ref_t target, uint32_t message, const void *pointer)
{
    cr_assert_eq(
        capstan_node_tell(stage->node, target, message, (slice_t){&pointer, sizeof pointer}),
        CAPSTAN_OK);
}

static void check_report(const json_t *line, const char *actor, const char *handler,
                         const char *message)
{
    cr_assert_str_eq(log_kit_text(line, "actor"), actor);
    cr_assert_str_eq(log_kit_text(line, "cell"), "bob");
    cr_assert_str_eq(log_kit_text(line, "handler"), handler);
    cr_assert_str_eq(log_kit_text(line, "message"), message);
    cr_assert_geq(json_integer_value(json_object_get(line, "for_us")), 10000);
}

/* This program is somewhere among the frames: the handler is a function of its. */
static bool has_frames(const json_t *line)
{
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)line, name, value)
    {
        if (strncmp(name, "frame_", 6) == 0 &&
            strstr(json_string_value(value), program_invocation_short_name)) {
            return true;
        }
    }
    return false;
}

static void expect_reports(bool strict)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.strict_wire = strict});
    tell(&stage, stage.worker, MESSAGE_shop_closed, &stage.gate);
    json_t *line = log_kit_next(stage.log, "runtime.cell_stalled");
    check_report(line, "bob", "receive", "shop_closed");
    cr_assert(has_frames(line));
    json_decref(line);
    sem_post(&stage.gate);
    line = log_kit_next(stage.log, "runtime.cell_went_on");
    cr_assert_str_eq(log_kit_text(line, "cell"), "bob");
    cr_assert_geq(json_integer_value(json_object_get(line, "for_us")), 10000);
    json_decref(line);
    close_stage(&stage);
}

Test(stall, is_reported_with_actor_message_and_backtrace_and_again_when_it_ends)
{
    expect_reports(false);
}

Test(stall, is_reported_under_strict_wire_too)
{
    expect_reports(true);
}

Test(stall, of_a_handler_that_computes_is_reported_with_the_number_of_an_unknown_message)
{
    stage_t stage;
    atomic_bool done = false;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    tell(&stage, stage.worker, MESSAGE_spin, &done);
    json_t *line = log_kit_next(stage.log, "runtime.cell_stalled");
    check_report(line, "bob", "receive", "36865");
    json_decref(line);
    atomic_store(&done, true);
    json_decref(log_kit_next(stage.log, "runtime.cell_went_on"));
    close_stage(&stage);
}

Test(stall, in_the_init_of_a_child_names_the_child)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    tell(&stage, stage.worker, MESSAGE_spawn_waiting, &stage.gate);
    json_t *line = log_kit_next(stage.log, "runtime.cell_stalled");
    check_report(line, "waiting child", "init", "");
    json_decref(line);
    sem_post(&stage.gate);
    json_decref(log_kit_next(stage.log, "runtime.cell_went_on"));
    close_stage(&stage);
}

/* The patient one blocks first: when the other one is reported, it has been looked at as often. */
Test(stall, of_an_actor_that_may_block_is_not_reported)
{
    stage_t stage;
    sem_t gate;
    cr_assert_eq(sem_init(&gate, 0, 0), 0);
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    capstan_ref_t patient = spawn(stage.node, &patient_behaviour, "patient");
    tell(&stage, patient, MESSAGE_wait, &gate);
    tell(&stage, stage.worker, MESSAGE_wait, &stage.gate);
    json_t *line = log_kit_next(stage.log, "runtime.cell_stalled");
    check_report(line, "bob", "receive", "36864");
    json_decref(line);
    sem_post(&stage.gate);
    sem_post(&gate);
    close_stage(&stage);
    cr_assert_eq(metric_value(&runtime_metrics, METRIC_runtime_stalls), 1);
    sem_destroy(&gate);
}

/* --- states ---------------------------------------------------------------------------------- */

typedef struct search {
    char state[16];
    char actor[16];
} search_t;

static void find_bob(void *context, const cell_figures_t *figures)
{
    search_t *search = context;
    if (strcmp(figures->name, "bob") == 0) {
        snprintf(search->state, sizeof search->state, "%s", figures->state);
        snprintf(search->actor, sizeof search->actor, "%s", figures->actor);
    }
}

static void await_state(const stage_t *stage, const char *state, const char *actor)
{
    search_t search;
    do {
        search = (search_t){.state = ""};
        node_cells(stage->node, find_bob, &search);
        sched_yield();
    } while (strcmp(search.state, state) != 0 || strcmp(search.actor, actor) != 0);
}

Test(stall, makes_the_cell_busy_then_hung_then_live_again)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.hung_ms = 30, .hung_stays = true});
    await_state(&stage, "live", "");
    tell(&stage, stage.worker, MESSAGE_wait, &stage.gate);
    await_state(&stage, "hung", "bob");
    sem_post(&stage.gate);
    await_state(&stage, "live", "");
    close_stage(&stage);
}

/* --- the signal ------------------------------------------------------------------------------ */

static void be_somebody_elses(int signal)
{
    (void)signal;
}

static struct sigaction action_of(int signal)
{
    struct sigaction action;
    cr_assert_eq(sigaction(signal, NULL, &action), 0);
    return action;
}

Test(stall, takes_a_signal_that_is_free_and_gives_it_back)
{
    signal(SIGRTMAX, be_somebody_elses);
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    cr_assert_eq(action_of(SIGRTMAX).sa_handler, be_somebody_elses);
    cr_assert_neq(action_of(SIGRTMAX - 1).sa_handler, SIG_DFL);
    tell(&stage, stage.worker, MESSAGE_wait, &stage.gate);
    json_t *line = log_kit_next(stage.log, "runtime.cell_stalled");
    cr_assert(has_frames(line));
    json_decref(line);
    sem_post(&stage.gate);
    close_stage(&stage);
    cr_assert_eq(action_of(SIGRTMAX).sa_handler, be_somebody_elses);
    cr_assert_eq(action_of(SIGRTMAX - 1).sa_handler, SIG_DFL);
}

static void expect_no_frames(int stall_signal)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.stall_signal = stall_signal});
    tell(&stage, stage.worker, MESSAGE_wait, &stage.gate);
    json_t *line = log_kit_next(stage.log, "runtime.cell_stalled");
    check_report(line, "bob", "receive", "36864");
    cr_assert_not(has_frames(line));
    json_decref(line);
    sem_post(&stage.gate);
    close_stage(&stage);
}

Test(stall, is_reported_without_backtrace_when_the_host_wants_no_signal_handler)
{
    expect_no_frames(-1);
    cr_assert_eq(action_of(SIGRTMAX).sa_handler, SIG_DFL);
}

Test(stall, is_reported_without_backtrace_when_the_signal_is_somebody_elses)
{
    signal(SIGRTMIN + 3, be_somebody_elses);
    expect_no_frames(SIGRTMIN + 3);
    cr_assert_eq(action_of(SIGRTMIN + 3).sa_handler, be_somebody_elses);
}
