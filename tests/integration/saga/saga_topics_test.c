/* Sagas and topics: events start them, and move those that await them, wherever they are. */
#include "tests/integration/saga/saga_kit.h"

#include <poll.h>

static const char placed_yaml[] = "saga: placed\n"
                                  "version: 1\n"
                                  "start: {topic: orders, when: event.type == placed}\n"
                                  "steps:\n"
                                  "  - await: paid\n"
                                  "    any:\n"
                                  "      - event: {topic: payments, when: event.state == paid}\n"
                                  "  - step: send\n"
                                  "    participant: shop\n"
                                  "    action: do_send\n"
                                  "    compensation: do_call_back\n";

static void await_sum(sagas_t *self, const saga_filter_t *filter, uint64_t wanted)
{
    for (int i = 0; i < 5000 && sagas_count(self, filter) != wanted; i++) {
        poll(NULL, 0, 4);
    }
    cr_assert_eq(sagas_count(self, filter), wanted);
}

static uint64_t parked_events(sagas_t *self, const char *topic, char *ret_reason, size_t size)
{
    buffer_t body = {0};
    void *answer;
    size_t answer_size;
    uint64_t count = 0;
    for (uint64_t partition = 0; partition < 4; partition++) {
        parked_page_t page;
        codec_list_t list;
        parked_t parked;
        buffer_clear(&body);
        codec_encode(parked_list_wire(),
                     &(parked_list_t){.topic = slice_text(topic),
                                      .group = slice_text("saga"),
                                      .partition = partition},
                     &body);
        cr_assert_eq(capstan_node_ask(self->node, self->topics, MESSAGE_parked_list,
                                      buffer_slice(&body), SAGAS_US, &answer, &answer_size),
                     CAPSTAN_OK);
        cr_assert_eq(codec_decode(parked_page_wire(), slice_of(answer, answer_size), &page, NULL),
                     CAPSTAN_OK);
        cr_assert_eq(codec_list_open(parked_wire(), page.events, &list), CAPSTAN_OK);
        while (page.partition == partition && codec_list_next(&list, &parked)) {
            snprintf(ret_reason, size, "%.*s", (int)parked.reason.size,
                     (const char *)parked.reason.data);
            count++;
        }
        free(answer);
    }
    buffer_fini(&body);
    return count;
}

Test(saga_topics, events_start_sagas_and_move_those_that_await_them)
{
    enum { COUNT = 20 };
    sagas_t sagas;
    char key[16];
    sagas_init(&sagas);
    sagas.settings.resident_max = 0; /* whoever awaits an event is in the store */
    sagas.settings.snapshot_records = 16;
    sagas_start(&sagas);
    sagas_define(&sagas, placed_yaml);
    sagas_worker(&sagas, "shop", 0);
    sagas_topic(&sagas, "orders"); /* the topics come later than the definition */
    sagas_topic(&sagas, "payments");
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "k%d", i);
        sagas_publish(&sagas, "orders", key, 1, "{\"type\": \"placed\", \"n\": 1}", "");
        sagas_publish(&sagas, "orders", key, 2, "{\"type\": \"other\"}", "application/json");
    }
    await_sum(&sagas, &(saga_filter_t){.state = SAGA_RUNNING}, COUNT);
    sagas_publish(&sagas, "payments", "k3", 1, "\x81\xa5state\xa4paid", "application/msgpack");
    sagas_publish(&sagas, "payments", "k4", 1, "{\"state\": \"open\"}", "");
    await_sum(&sagas, &(saga_filter_t){.state = SAGA_COMPLETED, .key = slice_text("k3")}, 1);
    for (int i = 5; i < COUNT; i++) {
        snprintf(key, sizeof key, "k%d", i);
        sagas_publish(&sagas, "payments", key, 1, "{\"state\": \"paid\"}", "");
    }
    await_sum(&sagas, &(saga_filter_t){.state = SAGA_COMPLETED}, COUNT - 4);
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.state = SAGA_RUNNING}), 4);
    /* After a restart nothing begins twice. */
    sagas_stop(&sagas);
    sagas_start(&sagas);
    sagas_publish(&sagas, "payments", "k4", 2, "{\"state\": \"paid\"}", "");
    sagas_worker(&sagas, "shop", 0);
    await_sum(&sagas, &(saga_filter_t){.state = SAGA_COMPLETED, .key = slice_text("k4")}, 1);
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){0}), COUNT);
    cr_assert_eq(sagas_seen(&sagas, "", "do_send"), COUNT - 3);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_topics, what_cannot_be_read_is_parked_with_its_reason)
{
    sagas_t sagas;
    char reason[128] = "";
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_topic(&sagas, "orders");
    sagas_define(&sagas, placed_yaml);
    sagas_publish(&sagas, "orders", "a", 1, "{\"type\": ", "");
    uint64_t parked = 0;
    for (int i = 0; i < 5000 && parked == 0; i++) {
        parked = parked_events(&sagas, "orders", reason, sizeof reason);
        poll(NULL, 0, 4);
    }
    cr_assert_eq(parked, 1);
    cr_assert(strstr(reason, "JSON"), "%s", reason);
    sagas_publish(&sagas, "orders", "b", 1, "\xc1\xc1", "");
    for (int i = 0; i < 5000 && parked == 1; i++) {
        parked = parked_events(&sagas, "orders", reason, sizeof reason);
        poll(NULL, 0, 4);
    }
    cr_assert_eq(parked, 2);
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){0}), 0);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}
