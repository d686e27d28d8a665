#include "runtime/takeover.h"

#include "runtime/base/ensure.h"
#include "runtime/grip.h"
#include "runtime/interrupt.h"
#include "runtime/keyed.h"
#include "runtime/runtime_metrics.h"

#include <stdlib.h>

_Thread_local grip_t grip;

/* What was going on when it lost the cell is left as it is, on its stack. */
void grip_end_thread(void)
{
    pthread_exit(NULL);
}

/* --- the old thread -------------------------------------------------------------------------- */

typedef struct question {
    const pulse_t *pulse;
    uint32_t number;
    bool lost;
} question_t;

/* On the old thread, in its signal handler. */
static void lose_grip(void *argument)
{
    question_t *self = argument;
    uint64_t at = atomic_load_explicit(&self->pulse->at, memory_order_relaxed);
    self->lost = atomic_load_explicit(&grip.user, memory_order_relaxed) &&
                 pulse_phase(at) == PULSE_HANDLER && pulse_number(at) == self->number;
    if (self->lost) {
        atomic_store_explicit(&grip.lost, true, memory_order_relaxed);
    }
}

takeover_t takeover_ask(cell_thread_t *thread, pthread_t handle, pid_t id, uint32_t number)
{
    question_t question = {.pulse = thread->cell->pulse, .number = number};
    if (!interrupt_run(handle, id, lose_grip, &question)) {
        return TAKEOVER_SILENCE;
    }
    if (!question.lost) {
        return TAKEOVER_LATER;
    }
    atomic_store_explicit(&thread->state, CELL_THREAD_LOST, memory_order_release);
    return TAKEOVER_LOST;
}

/* --- the new thread -------------------------------------------------------------------------- */

static void free_trace(trace_scope_t *scope)
{
    while (scope) {
        trace_scope_t *outer = scope->outer;
        free(scope);
        scope = outer;
    }
}

void cell_thread_fini(cell_thread_t *self)
{
    for (capstan_actor_t *actor; (actor = self->actors);) {
        self->actors = actor->next;
        free(actor);
    }
    if (self->mail) {
        block_release(self->mail->block);
    }
    free_trace(self->trace);
    key_entry_free(self->entry);
    buffer_fini(&self->answer);
}

cell_thread_t *cell_threads_reap(cell_thread_t *list)
{
    cell_thread_t *left = NULL;
    for (cell_thread_t *thread; (thread = list);) {
        list = thread->next;
        if (atomic_load_explicit(&thread->ended, memory_order_acquire)) {
            pthread_join(thread->thread, NULL);
            cell_thread_fini(thread);
            free(thread);
        } else {
            thread->next = left;
            left = thread;
        }
    }
    return left;
}

/* Those who are dead are about to be freed. */
static void forget_turned(cell_t *cell)
{
    capstan_actor_t **link = &cell->turned_head;
    for (capstan_actor_t *actor; (actor = *link);) {
        if (actor->dead) {
            *link = actor->next_turned;
        } else {
            link = &actor->next_turned;
        }
    }
}

/* It called the handler of another actor, and goes on as if that had failed. */
static void go_on(capstan_actor_t *self, cell_thread_t *old)
{
    cell_t *cell = self->cell;
    self->running = false;
    self->traced = false;
    if (self->handling) {
        capstan_reply_error(self, self->handling, CAPSTAN_E_GONE, NULL);
        self->handling = NULL;
    }
    old->entry = keyed_interrupted(self);
    if (self->park) {
        park_release(self);
    }
    if (actor_has_work(self)) {
        cell_make_ready(cell, self);
    }
}

/* Newest first: one that was spawned ends before its spawner. */
static void end_interrupted(cell_t *cell, cell_thread_t *old, uint32_t message)
{
    capstan_actor_t *keeper = NULL;
    capstan_actor_t *next;
    for (capstan_actor_t *actor = cell->actors; actor; actor = next) {
        next = actor->next;
        if (actor->running && actor->inner) {
            keeper = actor;
        } else if (actor->running || actor->dead) {
            refs_add(&cell->hung,
                     (capstan_ref_t){.slot = actor->ref.slot, .generation = actor->ref.generation},
                     1);
            actor_end_interrupted(actor, message);
        }
    }
    if (keeper) {
        go_on(keeper, old);
    }
}

/* The command whose handler did not return: what concerned one actor is over with it, what was for
 * all is done again, for those who have not heard of it. */
static void finish_command(cell_t *cell)
{
    command_t *command = cell->command;
    cell->command = NULL;
    if (!command) {
        return;
    }
    if (command->waiter) {
        waiter_finish(command->waiter, CAPSTAN_E_CELL_HUNG, (slice_t){0});
    }
    if (command->kind == COMMAND_STOP_INTAKE || command->kind == COMMAND_STOP_ALL) {
        command->next = cell->commands;
        cell->commands = command;
    } else {
        free(command);
    }
}

void takeover_repair(cell_t *cell, cell_thread_t *old)
{
    uint32_t message = pulse_message(pulse_place(cell->pulse).at);
    pulse_leave(cell->pulse);
    cell_read_clocks(cell);
    old->mail = cell->handled_mail;
    old->trace = cell->trace;
    old->answer = cell->answer;
    cell->handled_mail = NULL;
    cell->trace = NULL;
    cell->answer = (buffer_t){0};
    end_interrupted(cell, old, message);
    forget_turned(cell);
    cell_bury(cell);
    old->actors = cell->interrupted;
    cell->interrupted = NULL;
    finish_command(cell);
}
