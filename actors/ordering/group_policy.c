/* How a group treats keys and rejected events. What somebody has defined is stored in partition 0,
 * over the node's settings; it changes while the group has no members, so that nothing is under way
 * by other rules. */
#include "actors/ordering/group_actor.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum {
    ATTEMPTS_MAX = 1000000,
    RETRY_MS_MAX = 86400000,
};

static uint64_t over(uint64_t value, uint64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static group_policy_t join(const group_policy_t *above, const group_policy_t *below)
{
    return (group_policy_t){
        .mode = over(above->mode, below->mode),
        .while_retried = over(above->while_retried, below->while_retried),
        .when_exhausted = over(above->when_exhausted, below->when_exhausted),
        .attempts_max = over(above->attempts_max, below->attempts_max),
        .retry_ms_min = over(above->retry_ms_min, below->retry_ms_min),
        .retry_ms_max = over(above->retry_ms_max, below->retry_ms_max),
        .events = over(above->events, below->events),
    };
}

group_policy_t group_policy_in_force(const group_actor_t *self)
{
    const group_policy_t usual = {
        .mode = GROUP_BY_KEY,
        .while_retried = WHILE_RETRIED_WAIT,
        .when_exhausted = WHEN_EXHAUSTED_WAIT,
        .attempts_max = self->settings->group_attempts_max,
        .retry_ms_min = self->settings->group_retry_ms_min,
        .retry_ms_max = self->settings->group_retry_ms_max,
        .events = GROUP_EVENTS_IN_ORDER,
    };
    return join(&self->policy, &usual);
}

group_limits_t group_limits_of(const group_actor_t *self)
{
    const ordering_settings_t *settings = self->settings;
    group_policy_t policy = group_policy_in_force(self);
    group_limits_t limits = {
        .mode = (group_mode_t)policy.mode,
        .events = (group_events_t)policy.events,
        .while_retried = (group_while_retried_t)policy.while_retried,
        .when_exhausted = (group_when_exhausted_t)policy.when_exhausted,
        .attempts_max = policy.attempts_max,
        .retry_us_min = (int64_t)policy.retry_ms_min * 1000,
        .retry_us_max = (int64_t)policy.retry_ms_max * 1000,
        .partitions = (uint32_t)self->count,
        .events_max = settings->group_events_max,
        .bytes_max = settings->group_bytes_max,
        .ranges_max = settings->group_ranges_max,
        .parked_max = settings->group_parked_max,
        .parked_bytes_max = settings->group_parked_bytes_max,
    };
    node_random(capstan_actor_node(self->self), limits.hash_seed, sizeof limits.hash_seed);
    return limits;
}

static const char *what_is_wrong(const group_policy_t *policy)
{
    if (policy->mode > GROUP_UNORDERED) {
        return "mode: 1 (key), 2 (partition) or 3 (none)";
    }
    if (policy->while_retried > WHILE_RETRIED_GO_ON ||
        policy->when_exhausted > WHEN_EXHAUSTED_GO_ON) {
        return "while_retried, when_exhausted: 1 (the key waits) or 2 (its successors go on)";
    }
    if (policy->events > GROUP_EVENTS_DIVERTED) {
        return "events: 1 (in their key's order) or 2 (diverted)";
    }
    if (policy->attempts_max > ATTEMPTS_MAX) {
        return "attempts_max: 1 to 1000000";
    }
    if (policy->retry_ms_min > RETRY_MS_MAX || policy->retry_ms_max > RETRY_MS_MAX) {
        return "retry_ms_min, retry_ms_max: 1 to 86400000";
    }
    return NULL;
}

void group_take_policy(group_actor_t *self, slice_t stored)
{
    group_policy_t policy;
    if (stored.size > 0 && codec_decode(group_policy_wire(), stored, &policy, NULL) == CAPSTAN_OK &&
        !what_is_wrong(&policy)) {
        self->policy = policy;
    }
}

void group_on_set(group_actor_t *self, const capstan_message_t *message)
{
    group_set_t request;
    group_policy_t policy = {0};
    capstan_err_t err = codec_decode(group_set_wire(), message->body, &request, NULL);
    if (err == CAPSTAN_OK && request.policy.size > 0) {
        err = codec_decode(group_policy_wire(), request.policy, &policy, NULL);
    }
    const char *wrong = err == CAPSTAN_OK ? what_is_wrong(&policy) : NULL;
    if (err != CAPSTAN_OK || wrong) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_INVALID, wrong);
        return;
    }
    policy_job_t *job = calloc(1, sizeof *job);
    ENSURE(job);
    *job = (policy_job_t){.request = *message, .policy = policy};
    job->request.body = (slice_t){0};
    policy_job_t **link = &self->set;
    while (*link) {
        link = &(*link)->next;
    }
    *link = job;
}

void group_set_end(group_actor_t *self, capstan_err_t err)
{
    policy_job_t *job = self->set;
    self->set = job->next;
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &job->request, err, NULL);
    } else {
        buffer_t record = {0};
        buffer_t body = {0};
        group_policy_t policy = group_policy_in_force(self);
        codec_encode(group_policy_wire(), &policy, &record);
        codec_encode(group_defined_wire(), &(group_defined_t){.policy = buffer_slice(&record)},
                     &body);
        capstan_reply(self->self, &job->request, MESSAGE_group_defined, buffer_slice(&body));
        buffer_fini(&record);
        buffer_fini(&body);
    }
    free(job);
}

static bool changes_nothing(const group_policy_t *policy)
{
    return policy->mode + policy->while_retried + policy->when_exhausted + policy->attempts_max +
               policy->retry_ms_min + policy->retry_ms_max + policy->events ==
           0;
}

/* What the former members acknowledged is stored first: with the new policy the group begins anew.
 */
void group_set_on(group_actor_t *self)
{
    while (self->set && !self->set->storing && group_is_placed(self)) {
        if (changes_nothing(&self->set->policy)) {
            group_set_end(self, CAPSTAN_OK);
        } else if (self->members || self->joining || group_figures(self->core).replayed > 0) {
            group_set_end(self, CAPSTAN_E_GROUP_BUSY);
        } else if (group_is_stored(self)) {
            self->set->storing = true;
        } else {
            return;
        }
    }
}

bool group_policy_to_store(group_actor_t *self, buffer_t *out)
{
    if (!self->set || !self->set->storing) {
        return false;
    }
    group_policy_t policy = join(&self->set->policy, &self->policy);
    codec_encode(group_policy_wire(), &policy, out);
    self->set->sent = true;
    return true;
}

bool group_policy_stored(group_actor_t *self)
{
    if (!self->set || !self->set->sent) {
        return false;
    }
    self->policy = join(&self->set->policy, &self->policy);
    group_set_end(self, CAPSTAN_OK);
    return true;
}
