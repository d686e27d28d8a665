/* Monitors, links and stopping others, on one cell and across cells, with and without strict_wire:
 * who has an interest in an end hears of it once, and who is linked ends too. */
#include "tests/integration/runtime/puppet_kit.h"

#include <sched.h>
#include <stdlib.h>

typedef struct scene {
    capstan_node_t *node;
    capstan_ref_t watcher; /* on cell a */
    capstan_ref_t trapper; /* on cell a, traps exits */
    capstan_ref_t target;  /* on cell a or b */
    capstan_ref_t beside;  /* on the target's cell */
} scene_t;

/* Goes through a scene in every arrangement. */
static void play(void (*act)(const scene_t *scene))
{
    for (int i = 0; i < 4; i++) {
        puppet_spawn_t here = {.cell = "a"};
        puppet_spawn_t trapping = {.cell = "a", .traps_exits = true};
        puppet_spawn_t there = {.cell = "a"};
        there.cell[0] = i & 1 ? 'b' : 'a';
        capstan_node_t *node = puppet_node(i & 2);
        scene_t scene = {.node = node,
                         .watcher = puppet_new(node, &here),
                         .trapper = puppet_new(node, &trapping),
                         .target = puppet_new(node, &there),
                         .beside = puppet_new(node, &there)};
        act(&scene);
        puppet_node_stop(node);
    }
}

static void tell(const scene_t *scene, capstan_ref_t puppet, puppet_deed_t deed,
                 capstan_ref_t other)
{
    puppet_report_t report =
        puppet_tell(scene->node, puppet, &(puppet_order_t){.deed = deed, .other = other});
    cr_assert_eq(report.err, CAPSTAN_OK);
    if (!capstan_ref_equal(other, scene->target)) {
        return;
    }
    /* What it sent to the target has arrived there. */
    puppet_tell(scene->node, puppet, &(puppet_order_t){.deed = PUPPET_SYNC, .other = other});
}

static void end_target(const scene_t *scene, puppet_deed_t deed, capstan_err_t reason)
{
    puppet_send(scene->node, scene->target, &(puppet_order_t){.deed = deed, .number = reason});
    puppet_await_end(scene->node, scene->target, scene->beside, scene->trapper);
}

/* The last word of the target to the watcher has arrived. */
static puppet_report_t watcher_report(const scene_t *scene)
{
    puppet_tell(scene->node, scene->beside,
                &(puppet_order_t){.deed = PUPPET_SYNC, .other = scene->watcher});
    return puppet_report(scene->node, scene->watcher);
}

static void await_gone(const scene_t *scene, capstan_ref_t puppet)
{
    puppet_await_end(scene->node, puppet, scene->beside, scene->trapper);
}

static void monitor_twice(const scene_t *scene)
{
    tell(scene, scene->watcher, PUPPET_MONITOR, scene->target);
    tell(scene, scene->watcher, PUPPET_MONITOR, scene->target);
    end_target(scene, PUPPET_FAIL, CAPSTAN_E_LIMIT);
    puppet_report_t report = watcher_report(scene);
    cr_assert_eq(report.downs, 1);
    cr_assert(capstan_ref_equal(report.down_actor, scene->target));
    cr_assert_eq(report.down_reason, CAPSTAN_E_LIMIT);
}

Test(link, tells_one_who_monitors_twice_once_and_why)
{
    play(monitor_twice);
}

static void monitor_the_gone(const scene_t *scene)
{
    end_target(scene, PUPPET_EXIT, CAPSTAN_OK);
    const capstan_ref_t never[] = {
        scene->target, {.slot = 999999, .generation = 1}, {.node = 1, .generation = 1}};
    for (uint64_t i = 0; i < 3; i++) {
        tell(scene, scene->watcher, PUPPET_MONITOR, never[i]);
        puppet_report_t report = watcher_report(scene);
        cr_assert_eq(report.downs, i + 1);
        cr_assert(capstan_ref_equal(report.down_actor, never[i]));
        cr_assert_eq(report.down_reason, CAPSTAN_E_GONE);
    }
    puppet_report_t report =
        puppet_tell(scene->node, scene->watcher, &(puppet_order_t){.deed = PUPPET_MONITOR});
    cr_assert_eq(report.err, CAPSTAN_E_INVALID, "the null reference");
}

Test(link, tells_at_once_of_an_actor_that_has_gone_or_never_was)
{
    play(monitor_the_gone);
}

static void demonitor(const scene_t *scene)
{
    tell(scene, scene->watcher, PUPPET_MONITOR, scene->target);
    tell(scene, scene->watcher, PUPPET_DEMONITOR, scene->target);
    end_target(scene, PUPPET_FAIL, CAPSTAN_E_LIMIT);
    cr_assert_eq(watcher_report(scene).downs, 0);
}

Test(link, tells_nothing_after_demonitor)
{
    play(demonitor);
}

static void link_and_fail(const scene_t *scene)
{
    tell(scene, scene->watcher, PUPPET_LINK, scene->target);
    tell(scene, scene->trapper, PUPPET_LINK, scene->target);
    tell(scene, scene->trapper, PUPPET_MONITOR, scene->watcher);
    end_target(scene, PUPPET_FAIL, CAPSTAN_E_LIMIT);
    await_gone(scene, scene->watcher);
    puppet_report_t report;
    do {
        report = puppet_report(scene->node, scene->trapper);
    } while (report.downs < 2);
    cr_assert_eq(report.downs, 2, "one of the target, and one of the watcher that went with it");
    cr_assert(capstan_ref_equal(report.down_actor, scene->watcher));
    cr_assert_eq(report.down_reason, CAPSTAN_E_LINKED);
}

Test(link, ends_with_a_failed_actor_who_does_not_trap_exits)
{
    play(link_and_fail);
}

static void link_the_other_way(const scene_t *scene)
{
    tell(scene, scene->watcher, PUPPET_LINK, scene->target);
    tell(scene, scene->trapper, PUPPET_MONITOR, scene->target);
    puppet_send(scene->node, scene->watcher,
                &(puppet_order_t){.deed = PUPPET_EXIT, .number = CAPSTAN_E_LIMIT});
    puppet_await_end(scene->node, scene->target, scene->beside, scene->trapper);
    puppet_report_t report = puppet_report(scene->node, scene->trapper);
    cr_assert_eq(report.downs, 1);
    cr_assert_eq(report.down_reason, CAPSTAN_E_LINKED);
}

Test(link, works_in_both_directions)
{
    play(link_the_other_way);
}

static void link_and_end_normally(const scene_t *scene)
{
    tell(scene, scene->watcher, PUPPET_LINK, scene->target);
    tell(scene, scene->trapper, PUPPET_LINK, scene->target);
    end_target(scene, PUPPET_EXIT, CAPSTAN_OK);
    cr_assert_eq(watcher_report(scene).downs, 0, "it lives, and hears nothing");
    puppet_report_t report = puppet_report(scene->node, scene->trapper);
    cr_assert_eq(report.downs, 1);
    cr_assert_eq(report.down_reason, CAPSTAN_OK);
}

Test(link, does_not_end_with_an_actor_that_ended_normally)
{
    play(link_and_end_normally);
}

static void unlink_both_ways(const scene_t *scene)
{
    tell(scene, scene->watcher, PUPPET_LINK, scene->target);
    tell(scene, scene->watcher, PUPPET_UNLINK, scene->target);
    tell(scene, scene->trapper, PUPPET_LINK, scene->target);
    tell(scene, scene->trapper, PUPPET_MONITOR, scene->target);
    tell(scene, scene->trapper, PUPPET_UNLINK, scene->target);
    end_target(scene, PUPPET_FAIL, CAPSTAN_E_LIMIT);
    cr_assert_eq(watcher_report(scene).downs, 0);
    cr_assert_eq(puppet_report(scene->node, scene->trapper).downs, 1, "its monitor stays");
}

Test(link, leaves_alone_those_that_were_unlinked)
{
    play(unlink_both_ways);
}

static void link_the_gone(const scene_t *scene)
{
    end_target(scene, PUPPET_EXIT, CAPSTAN_OK);
    puppet_send(scene->node, scene->watcher,
                &(puppet_order_t){.deed = PUPPET_LINK, .other = scene->target});
    await_gone(scene, scene->watcher);
}

Test(link, to_an_actor_that_has_gone_counts_as_its_failure)
{
    play(link_the_gone);
}

/* --- every way to fail ----------------------------------------------------------------------- */

static void fail_everywhere(const scene_t *scene)
{
    static const puppet_deed_t deeds[] = {PUPPET_FAIL, PUPPET_EXIT, PUPPET_FAIL_TIMER,
                                          PUPPET_FAIL_READY, PUPPET_FAIL_TURN};
    for (uint64_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        puppet_order_t spawn = {.deed = PUPPET_SPAWN,
                                .spawn = {.cell = "b", .monitor = true, .link = true}};
        capstan_ref_t child = puppet_tell(scene->node, scene->trapper, &spawn).spawned;
        puppet_send(scene->node, child,
                    &(puppet_order_t){.deed = deeds[i], .number = CAPSTAN_E_STORE_IO});
        puppet_report_t report;
        do {
            report = puppet_report(scene->node, scene->trapper);
        } while (report.downs == i);
        cr_assert_eq(report.downs, i + 1, "monitored and linked, and told once");
        cr_assert(capstan_ref_equal(report.down_actor, child));
        cr_assert_eq(report.down_reason, CAPSTAN_E_STORE_IO);
    }
}

Test(link, tells_the_reason_in_whichever_handler_it_failed)
{
    play(fail_everywhere);
}

static void fail_in_init(const scene_t *scene)
{
    puppet_order_t spawn = {
        .deed = PUPPET_SPAWN,
        .spawn = {.cell = "a", .monitor = true, .fail_init = CAPSTAN_E_STORE_FULL}};
    puppet_report_t report = puppet_tell(scene->node, scene->watcher, &spawn);
    cr_assert_eq(report.err, CAPSTAN_E_STORE_FULL, "on its own cell it is told at once");
    spawn.spawn.cell[0] = 'b';
    report = puppet_tell(scene->node, scene->watcher, &spawn);
    cr_assert_eq(report.err, CAPSTAN_OK);
    while (report.downs == 0) {
        report = puppet_report(scene->node, scene->watcher);
    }
    cr_assert_eq(report.downs, 1);
    cr_assert(capstan_ref_equal(report.down_actor, report.spawned));
    cr_assert_eq(report.down_reason, CAPSTAN_E_STORE_FULL);
}

Test(link, tells_why_an_init_failed_once_and_leaves_nothing)
{
    play(fail_in_init);
}

/* --- stopping others ------------------------------------------------------------------------- */

static void stop_target(const scene_t *scene, int64_t timeout_us, puppet_deed_t before,
                        capstan_err_t reason)
{
    tell(scene, scene->trapper, PUPPET_MONITOR, scene->target);
    puppet_tell(scene->node, scene->target,
                &(puppet_order_t){.deed = before, .number = CAPSTAN_E_STORE_IO});
    puppet_report_t report = puppet_tell(
        scene->node, scene->watcher,
        &(puppet_order_t){.deed = PUPPET_STOP, .other = scene->target, .number = timeout_us});
    cr_assert_eq(report.err, CAPSTAN_OK);
    puppet_await_end(scene->node, scene->target, scene->beside, scene->trapper);
    report = puppet_report(scene->node, scene->trapper);
    cr_assert_eq(report.downs, 1);
    cr_assert_eq(report.down_reason, reason);
    report = puppet_tell(scene->node, scene->watcher,
                         &(puppet_order_t){.deed = PUPPET_STOP, .other = scene->target});
    cr_assert_eq(report.err, CAPSTAN_E_GONE);
}

static void stop_in_order(const scene_t *scene)
{
    stop_target(scene, PUPPET_STOP_US, PUPPET_REPORT, CAPSTAN_OK);
}

static void stop_one_that_fails_meanwhile(const scene_t *scene)
{
    stop_target(scene, INT64_MAX, PUPPET_FAIL_STOP, CAPSTAN_E_STORE_IO);
}

static void stop_one_that_does_not_want_to(const scene_t *scene)
{
    stop_target(scene, 1, PUPPET_IGNORE_STOP, CAPSTAN_E_KILLED);
}

static void stop_at_once(const scene_t *scene)
{
    stop_target(scene, 0, PUPPET_REPORT, CAPSTAN_E_KILLED);
}

Test(link, stops_another_actor_in_order)
{
    play(stop_in_order);
}

Test(link, tells_that_an_actor_failed_while_it_was_stopped)
{
    play(stop_one_that_fails_meanwhile);
}

Test(link, ends_an_actor_that_does_not_stop_at_the_deadline)
{
    play(stop_one_that_does_not_want_to);
}

Test(link, ends_an_actor_at_once_when_no_time_is_given)
{
    play(stop_at_once);
}

static void stop_twice(const scene_t *scene)
{
    tell(scene, scene->trapper, PUPPET_MONITOR, scene->target);
    puppet_tell(scene->node, scene->target, &(puppet_order_t){.deed = PUPPET_IGNORE_STOP});
    puppet_order_t stop = {.deed = PUPPET_STOP, .other = scene->target, .number = PUPPET_STOP_US};
    puppet_tell(scene->node, scene->watcher, &stop);
    while (puppet_report(scene->node, scene->target).stops == 0) {
        sched_yield();
    }
    stop.number = INT64_MAX;
    puppet_tell(scene->node, scene->watcher, &stop);
    stop.number = 1;
    puppet_tell(scene->node, scene->watcher, &stop);
    puppet_await_end(scene->node, scene->target, scene->beside, scene->trapper);
    cr_assert_eq(puppet_report(scene->node, scene->trapper).down_reason, CAPSTAN_E_KILLED);
}

Test(link, takes_the_later_of_two_deadlines_for_a_stop)
{
    play(stop_twice);
}

/* --- ends at the same instant ---------------------------------------------------------------- */

enum { BRIEF_LIVES = 20000, BRIEF_AT_ONCE = 64, MESSAGE_go = 0x8000 };

typedef struct crowd {
    capstan_ref_t refs[BRIEF_LIVES];
    uint8_t downs[BRIEF_LIVES];
    uint64_t spawned;
    uint64_t told;
    capstan_message_t request;
} crowd_t;

/* Lives so briefly that its end meets the wish to watch it at every place of its way. */
static capstan_err_t brief_init(capstan_actor_t *self, void *argument)
{
    uint64_t fate = (uintptr_t)argument % 5;
    if (fate == 0) {
        return CAPSTAN_E_LIMIT;
    }
    if (fate == 1) {
        capstan_actor_exit(self, CAPSTAN_OK);
    } else {
        capstan_timer_start(self, (int64_t)((uintptr_t)argument % 97), NULL);
    }
    return CAPSTAN_OK;
}

static void brief_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    capstan_actor_exit(self, CAPSTAN_OK);
}

static capstan_err_t ignore(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static void spawn_brief(capstan_actor_t *self, crowd_t *crowd)
{
    static const capstan_behaviour_t behaviour = {
        .name = "brief", .init = brief_init, .receive = ignore, .timer = brief_timer};
    uint64_t number = crowd->spawned++;
    capstan_ref_t *ref = &crowd->refs[number];
    cr_assert_eq(capstan_spawn(self, &behaviour,
                               &(capstan_spawn_options_t){.cell = number % 2 ? "b" : "c",
                                                          .argument = (void *)(uintptr_t)number,
                                                          .monitor = number % 3 == 0},
                               ref),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_monitor(self, *ref), CAPSTAN_OK);
    if (number % 7 == 0) {
        capstan_demonitor(self, *ref);
        cr_assert_eq(capstan_monitor(self, *ref), CAPSTAN_OK);
    }
}

static capstan_err_t crowd_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    crowd_t *crowd = capstan_actor_state(self);
    capstan_ref_t who;
    capstan_err_t reason;
    if (message->message == MESSAGE_go) {
        crowd->request = *message;
        for (int i = 0; i < BRIEF_AT_ONCE; i++) {
            spawn_brief(self, crowd);
        }
        return CAPSTAN_OK;
    }
    cr_assert(capstan_message_is_down(message, &who, &reason));
    for (uint64_t i = crowd->spawned; i > 0; i--) {
        if (capstan_ref_equal(crowd->refs[i - 1], who)) {
            cr_assert_eq(crowd->downs[i - 1]++, 0, "told twice");
            crowd->told++;
            break;
        }
    }
    if (crowd->spawned < BRIEF_LIVES) {
        spawn_brief(self, crowd);
    } else if (crowd->told == BRIEF_LIVES) {
        capstan_reply(self, &crowd->request, MESSAGE_go, (slice_t){0});
    }
    return CAPSTAN_OK;
}

static capstan_err_t crowd_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

Test(link, tells_of_each_of_many_brief_lives_exactly_once)
{
    static const capstan_behaviour_t behaviour = {
        .name = "crowd", .init = crowd_init, .receive = crowd_receive};
    for (int strict = 0; strict < 2; strict++) {
        static crowd_t crowd;
        crowd = (crowd_t){0};
        capstan_node_t *node = puppet_node(strict);
        capstan_ref_t ref;
        void *body;
        size_t size;
        cr_assert_eq(capstan_node_spawn(node, &behaviour,
                                        &(capstan_spawn_options_t){.cell = "a", .argument = &crowd},
                                        &ref),
                     CAPSTAN_OK);
        cr_assert_eq(
            capstan_node_ask(node, ref, MESSAGE_go, (slice_t){0}, PUPPET_STOP_US, &body, &size),
            CAPSTAN_OK);
        free(body);
        cr_assert_eq(crowd.told, BRIEF_LIVES);
        puppet_node_stop(node);
    }
}
