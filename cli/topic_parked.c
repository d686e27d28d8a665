/* What a group has parked: shown page by page, delivered again, or given up. */
#include "cli/topic.h"

#include "cli/failed.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/tail_payload.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAGE_EVENTS = 200 };

/* --- showing --------------------------------------------------------------------------------- */

static void add_row(table_t *table, uint64_t partition, const parked_t *parked,
                    const event_t *event)
{
    table_number(table, partition);
    table_number(table, event->offset);
    table_cell(table, event->key);
    table_number(table, parked->attempts);
    table_date(table, parked->since_us);
    table_cell(table, parked->behind ? slice_text("(behind the one before)") : parked->reason);
}

static void print_json(uint64_t partition, const parked_t *parked, const event_t *event)
{
    buffer_t out = {0};
    buffer_t payload = {0};
    json_writer_t json = json_writer(&out);
    payload_write_json(event->payload, &payload);
    emit_object_begin(&json);
    emit_key(&json, "partition");
    emit_uint(&json, partition);
    emit_key(&json, "offset");
    emit_uint(&json, event->offset);
    emit_key(&json, "key");
    emit_text(&json, event->key);
    emit_key(&json, "attempts");
    emit_uint(&json, parked->attempts);
    emit_key(&json, "since_us");
    emit_int(&json, parked->since_us);
    emit_key(&json, "reason");
    emit_text(&json, parked->reason);
    emit_key(&json, "behind");
    emit_bool(&json, parked->behind);
    emit_key(&json, "payload");
    emit_raw(&json, buffer_slice(&payload));
    emit_object_end(&json);
    printf("%.*s\n", (int)out.size, (const char *)out.data);
    buffer_fini(&out);
    buffer_fini(&payload);
}

/* Where the walk is, and what it has seen. */
typedef struct walk {
    const topic_options_t *options;
    table_t table;
    uint64_t partition;
    uint64_t offset;
    uint64_t shown;
    bool more;
} walk_t;

static capstan_err_t show_page(walk_t *self, slice_t body)
{
    parked_page_t page;
    codec_list_t list;
    parked_t parked;
    event_t event;
    capstan_err_t err = codec_decode(parked_page_wire(), body, &page, NULL);
    err = err ? err : codec_list_open(parked_wire(), page.events, &list);
    while (err == CAPSTAN_OK && self->shown < self->options->limit &&
           codec_list_next(&list, &parked)) {
        err = codec_decode(event_wire(), parked.event, &event, NULL);
        if (err == CAPSTAN_OK && self->options->json) {
            print_json(page.partition, &parked, &event);
        } else if (err == CAPSTAN_OK) {
            add_row(&self->table, page.partition, &parked, &event);
        }
        self->shown++;
    }
    if (err == CAPSTAN_OK) {
        self->more = page.more;
        self->partition = page.next_partition;
        self->offset = page.next_offset;
    }
    return err;
}

static capstan_err_t walk_pages(peer_t *peer, walk_t *self, char *ret_text, size_t text_size)
{
    slice_t body;
    do {
        const parked_list_t request = {.topic = slice_text(self->options->topic),
                                       .group = slice_text(self->options->group),
                                       .partition = self->partition,
                                       .offset = self->offset,
                                       .events_max = PAGE_EVENTS};
        capstan_err_t err = peer_request(peer, parked_list_wire(), &request, parked_page_wire(),
                                         TOPIC_ANSWER_US, &body, ret_text, text_size);
        err = err ? err : show_page(self, body);
        if (err != CAPSTAN_OK) {
            return err;
        }
    } while (self->more && self->shown < self->options->limit);
    return CAPSTAN_OK;
}

int topic_parked(peer_t *peer, const topic_options_t *options)
{
    static const char *const columns[] = {"partition", "offset", "key",
                                          "attempts",  "since",  "reason"};
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    walk_t walk = {.options = options, .table = {.columns = COLUMNS}};
    char text[1024] = "";
    for (size_t i = 0; i < COLUMNS; i++) {
        table_cell(&walk.table, slice_text(columns[i]));
    }
    capstan_err_t err = walk_pages(peer, &walk, text, sizeof text);
    if (err == CAPSTAN_OK && !options->json && walk.shown == 0) {
        printf("nothing is parked\n");
    } else if (err == CAPSTAN_OK && !options->json) {
        table_print(&walk.table, 0, stdout);
        printf("%s", walk.more ? "... and perhaps more: see --limit\n" : "");
    }
    table_fini(&walk.table);
    return err == CAPSTAN_OK ? EXIT_DONE : topic_failed(options, err, text);
}

/* --- delivering again, giving up ------------------------------------------------------------- */

static int release(peer_t *peer, const topic_options_t *options, bool discard)
{
    const parked_release_t request = {.topic = slice_text(options->topic),
                                      .group = slice_text(options->group),
                                      .key = options->key ? slice_text(options->key) : (slice_t){0},
                                      .discard = discard};
    char text[1024] = "";
    slice_t body;
    parked_released_t released;
    capstan_err_t err = peer_request(peer, parked_release_wire(), &request, parked_released_wire(),
                                     TOPIC_ANSWER_US, &body, text, sizeof text);
    err = err ? err : codec_decode(parked_released_wire(), body, &released, NULL);
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    if (released.replayed + released.discarded == 0) {
        char nothing[512];
        snprintf(nothing, sizeof nothing,
                 "group %s of topic %s has parked no such event. See `capstan topic parked %s "
                 "--group %s`.",
                 options->group, options->topic, options->topic, options->group);
        return cli_failed("topic", CAPSTAN_E_NOT_FOUND, nothing);
    }
    if (options->json) {
        printf("{\"replayed\":%" PRIu64 ",\"discarded\":%" PRIu64 "}\n", released.replayed,
               released.discarded);
    } else {
        printf("%" PRIu64 " to be delivered again, %" PRIu64 " given up\n", released.replayed,
               released.discarded);
    }
    return EXIT_DONE;
}

int topic_replay(peer_t *peer, const topic_options_t *options)
{
    return release(peer, options, false);
}

int topic_discard(peer_t *peer, const topic_options_t *options)
{
    return release(peer, options, true);
}
