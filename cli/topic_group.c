/* How a group treats keys and rejected events: shown, and changed while it has no members. */
#include "cli/topic.h"

#include "cli/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const modes[] = {"", "key", "partition", "none"};
static const char *const waits[] = {"", "wait", "go-on"};
static const char *const kinds[] = {"", "in-order", "diverted"};

/* 0: it was not given. */
static uint64_t number_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 1; word && i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            return i;
        }
    }
    return 0;
}

static const char *word_of(uint64_t number, const char *const *words, size_t count)
{
    return number < count ? words[number] : "?";
}

static void print(const topic_options_t *options, const group_policy_t *policy)
{
    const char *mode = word_of(policy->mode, modes, 4);
    const char *retried = word_of(policy->while_retried, waits, 3);
    const char *exhausted = word_of(policy->when_exhausted, waits, 3);
    const char *events = word_of(policy->events, kinds, 3);
    if (options->json) {
        printf("{\"mode\":\"%s\",\"while_retried\":\"%s\",\"when_exhausted\":\"%s\","
               "\"attempts_max\":%" PRIu64 ",\"retry_ms_min\":%" PRIu64 ",\"retry_ms_max\":%" PRIu64
               ",\"events\":\"%s\"}\n",
               mode, retried, exhausted, policy->attempts_max, policy->retry_ms_min,
               policy->retry_ms_max, events);
        return;
    }
    printf("one member at a time: %s\nwhile a rejected event is retried, its key's successors: %s\n"
           "when it is parked, its key's successors: %s\nattempts: %" PRIu64 ", after %" PRIu64
           " to %" PRIu64 " ms\nevents: %s\n",
           mode, retried, exhausted, policy->attempts_max, policy->retry_ms_min,
           policy->retry_ms_max, events);
}

int topic_group(peer_t *peer, const topic_options_t *options)
{
    const group_policy_t wanted = {.mode = number_of(options->mode, modes, 4),
                                   .while_retried = number_of(options->retried, waits, 3),
                                   .when_exhausted = number_of(options->exhausted, waits, 3),
                                   .attempts_max = options->attempts,
                                   .retry_ms_min = options->retry_ms_min,
                                   .retry_ms_max = options->retry_ms_max,
                                   .events = number_of(options->events, kinds, 3)};
    char text[1024] = "";
    buffer_t record = {0};
    slice_t body;
    group_defined_t defined;
    group_policy_t policy;
    codec_encode(group_policy_wire(), &wanted, &record);
    const group_define_t request = {.topic = slice_text(options->topic),
                                    .group = slice_text(options->group),
                                    .policy = buffer_slice(&record)};
    capstan_err_t err = peer_request(peer, group_define_wire(), &request, group_defined_wire(),
                                     TOPIC_ANSWER_US, &body, text, sizeof text);
    buffer_fini(&record);
    err = err ? err : codec_decode(group_defined_wire(), body, &defined, NULL);
    err = err ? err : codec_decode(group_policy_wire(), defined.policy, &policy, NULL);
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    print(options, &policy);
    return EXIT_DONE;
}
