/* The topics actor on a journal that refuses: it answers, pauses, and goes on. */
#include "actors/journal/journal_messages.h"
#include "actors/ordering/ordering.h"
#include "actors/ordering/ordering_messages.h"
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>

enum {
    MESSAGE_count_opens = 0x8000, /* request: answered with one uint64_t */
    TIMEOUT_US = 10000000,
};

/* Keeps nothing but where the topics' stream ends. */
typedef struct refusing_journal {
    bool refuse_opens;
    uint64_t refuse_appends; /* so many, then none */
    uint64_t opens;
    uint64_t lsn_next;
    uint64_t streams;
} refusing_journal_t;

static capstan_err_t journal_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static void reply(capstan_actor_t *self, const capstan_message_t *request,
                  const wire_record_t *message, const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    capstan_reply(self, request, message->id, buffer_slice(&body));
    buffer_fini(&body);
}

static capstan_err_t journal_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    refusing_journal_t *journal = capstan_actor_state(self);
    stream_open_t open;
    if (message->message == MESSAGE_count_opens) {
        capstan_reply(self, message, MESSAGE_count_opens,
                      (slice_t){&journal->opens, sizeof journal->opens});
    } else if (message->message == MESSAGE_stream_open) {
        cr_assert_eq(codec_decode(stream_open_wire(), message->body, &open, NULL), CAPSTAN_OK);
        bool topics = slice_equal(open.instance, slice_text("topics"));
        journal->opens += topics;
        if (journal->refuse_opens) {
            capstan_reply_error(self, message, CAPSTAN_E_STORE_IO, NULL);
            return CAPSTAN_OK;
        }
        uint64_t lsn_next = topics ? journal->lsn_next : 1;
        reply(self, message, stream_opened_wire(),
              &(stream_opened_t){.stream = ++journal->streams,
                                 .epoch = 1,
                                 .lsn_next = lsn_next,
                                 .lsn_first = lsn_next});
    } else if (journal->refuse_appends > 0) {
        journal->refuse_appends--;
        capstan_reply_error(self, message, CAPSTAN_E_STORE_FULL, NULL);
    } else {
        reply(self, message, journal_appended_wire(),
              &(journal_appended_t){.stream = 1, .lsn_next = ++journal->lsn_next});
    }
    return CAPSTAN_OK;
}

typedef struct world {
    ordering_settings_t settings;
    refusing_journal_t journal;
    capstan_node_t *node;
    capstan_ref_t journal_ref;
    capstan_ref_t topics;
} world_t;

static void start(world_t *self)
{
    static const capstan_behaviour_t journal = {
        .name = "journal", .init = journal_init, .receive = journal_receive};
    cr_assert_geq(sodium_init(), 0);
    self->settings = (ordering_settings_t){.partitions = 2, .topics_max = 16, .tail_bytes = 65536};
    self->journal.lsn_next = 1;
    cr_assert_eq(capstan_node_new(NULL, &self->node), CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(
                     self->node, &journal,
                     &(capstan_spawn_options_t){.cell = "journal", .argument = &self->journal},
                     &self->journal_ref),
                 CAPSTAN_OK);
    topics_arguments_t arguments = {
        .settings = &self->settings, .journal = self->journal_ref, .reader = self->journal_ref};
    cr_assert_eq(
        capstan_node_spawn(self->node, &topics_behaviour,
                           &(capstan_spawn_options_t){.cell = "ordering", .argument = &arguments},
                           &self->topics),
        CAPSTAN_OK);
}

static capstan_err_t ensure_topic(world_t *self)
{
    buffer_t body = {0};
    codec_encode(topic_ensure_wire(), &(topic_ensure_t){.topic = slice_text("orders")}, &body);
    void *answer = NULL;
    size_t size;
    capstan_err_t err = capstan_node_ask(self->node, self->topics, MESSAGE_topic_ensure,
                                         buffer_slice(&body), TIMEOUT_US, &answer, &size);
    free(answer);
    buffer_fini(&body);
    return err;
}

static void stop(world_t *self)
{
    cr_assert_eq(capstan_node_stop(&self->node, TIMEOUT_US, NULL, NULL), CAPSTAN_OK);
}

Test(topics, answers_a_refused_mark_and_goes_on_with_the_next)
{
    world_t world = {.journal.refuse_appends = 2};
    start(&world);
    capstan_err_t err;
    while ((err = ensure_topic(&world)) == CAPSTAN_E_UNAVAILABLE) {
        (void)poll(NULL, 0, 1); /* it is still loading */
    }
    cr_assert_eq(err, CAPSTAN_E_STORE_FULL);
    cr_assert_eq(ensure_topic(&world), CAPSTAN_E_STORE_FULL);
    cr_assert_eq(ensure_topic(&world), CAPSTAN_OK);
    stop(&world);
}

Test(topics, pauses_before_it_asks_a_failing_journal_again)
{
    world_t world = {.journal.refuse_opens = true};
    start(&world);
    (void)poll(NULL, 0, 700);
    void *answer = NULL;
    size_t size;
    uint64_t opens = 0;
    cr_assert_eq(capstan_node_ask(world.node, world.journal_ref, MESSAGE_count_opens, (slice_t){0},
                                  TIMEOUT_US, &answer, &size),
                 CAPSTAN_OK);
    cr_assert_eq(size, sizeof opens);
    memcpy(&opens, answer, size);
    free(answer);
    cr_assert(opens >= 1 && opens <= 4, "asked %lu times in 0.7 s", (unsigned long)opens);
    stop(&world);
}
