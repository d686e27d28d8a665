/* Topics and their settings: made, described, altered, deleted. */
#include "cli/topic.h"

#include "actors/ordering/topic_settings.h"
#include "cli/table.h"
#include "runtime/base/json_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTING_FILE_BYTES_MAX = 256 << 10 };

static bool read_file(const char *path, buffer_t *out)
{
    enum { PIECE = 4096 };
    FILE *file = fopen(path, "rb");
    size_t got = file ? PIECE : 0;
    /* What is larger than any setting is left to the node to refuse. */
    while (got == PIECE && out->size <= SETTING_FILE_BYTES_MAX) {
        got = fread(buffer_reserve(out, PIECE), 1, PIECE, file);
        out->size += got;
    }
    bool good = file && !ferror(file);
    if (!good) {
        fprintf(stderr, "capstan topic: %s: %s.\n", path, strerror(errno));
    }
    if (file) {
        fclose(file);
    }
    return good;
}

static bool is_text(slice_t name)
{
    size_t count;
    const topic_setting_row_t *rows = topic_setting_rows(&count);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(slice_text(rows[i].name), name)) {
            return rows[i].type == TOPIC_TEXT;
        }
    }
    return false;
}

/* What was given with --set, as a LIST of topic_setting; a text may be in a file, NAME=@FILE. */
static bool encode_given(const topic_options_t *options, buffer_t *out)
{
    bool good = true;
    buffer_t text = {0};
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < options->set.count && good; i++) {
        const char *item = options->set.items[i];
        size_t size = strcspn(item, "=");
        topic_setting_t setting = {.name = slice_of(item, size),
                                   .value = slice_text(item + size + 1)};
        if (item[size + 1] == '@' && is_text(setting.name)) {
            buffer_clear(&text);
            good = read_file(item + size + 2, &text);
            setting.value = buffer_slice(&text);
        }
        codec_list_add(&list, topic_setting_wire(), &setting);
    }
    codec_list_end(&list);
    buffer_fini(&text);
    return good;
}

static void print_json(const topic_info_t *info)
{
    codec_list_t list;
    topic_setting_t setting;
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    emit_object_begin(&json);
    emit_key(&json, "topic");
    emit_text(&json, info->topic);
    emit_key(&json, "partitions");
    emit_uint(&json, info->partitions);
    emit_key(&json, "sequence");
    emit_string(&json, info->sequence == 1 ? "producer" : "arrival");
    emit_key(&json, "created");
    emit_bool(&json, info->created);
    emit_key(&json, "settings");
    emit_object_begin(&json);
    if (codec_list_open(topic_setting_wire(), info->settings, &list) == CAPSTAN_OK) {
        while (codec_list_next(&list, &setting)) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)setting.name.size,
                     (const char *)setting.name.data);
            emit_key(&json, name);
            emit_text(&json, setting.value);
        }
    }
    emit_object_end(&json);
    emit_object_end(&json);
    printf("%.*s\n", (int)out.size, (const char *)out.data);
    buffer_fini(&out);
}

static void print_info(const topic_options_t *options, const wire_record_t *request,
                       const topic_info_t *info)
{
    if (options->json) {
        print_json(info);
        return;
    }
    const char *remark = request->id == MESSAGE_topic_alter ? " (altered)"
                         : info->created                    ? ""
                                                            : " (it existed)";
    printf("%s: %" PRIu64 " partitions, sequence %s%s\n", options->topic, info->partitions,
           info->sequence == 1 ? "producer" : "arrival", remark);
}

/* Both requests are answered with topic_info. */
static int ask(peer_t *peer, const topic_options_t *options, const wire_record_t *record,
               const void *request)
{
    char text[1024] = "";
    slice_t body;
    topic_info_t info;
    capstan_err_t err = peer_request(peer, record, request, topic_info_wire(), TOPIC_ANSWER_US,
                                     &body, text, sizeof text);
    err = err ? err : codec_decode(topic_info_wire(), body, &info, NULL);
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    print_info(options, record, &info);
    return EXIT_DONE;
}

int topic_create(peer_t *peer, const topic_options_t *options)
{
    buffer_t settings = {0};
    if (options->set.count > 0 && !encode_given(options, &settings)) {
        buffer_fini(&settings);
        return EXIT_FAILED;
    }
    const topic_ensure_t request = {.topic = slice_text(options->topic),
                                    .partitions = options->partitions,
                                    .sequence = options->sequence == NULL                    ? 0
                                                : strcmp(options->sequence, "producer") == 0 ? 1
                                                                                             : 2,
                                    .settings = buffer_slice(&settings)};
    int status = ask(peer, options, topic_ensure_wire(), &request);
    buffer_fini(&settings);
    return status;
}

int topic_alter(peer_t *peer, const topic_options_t *options)
{
    buffer_t settings = {0};
    if (!encode_given(options, &settings)) {
        buffer_fini(&settings);
        return EXIT_FAILED;
    }
    const topic_alter_t request = {.topic = slice_text(options->topic),
                                   .settings = buffer_slice(&settings),
                                   .force = options->force};
    int status = ask(peer, options, topic_alter_wire(), &request);
    buffer_fini(&settings);
    return status;
}

int topic_delete(peer_t *peer, const topic_options_t *options)
{
    const topic_delete_t request = {.topic = slice_text(options->topic), .force = options->force};
    char text[1024] = "";
    slice_t body;
    capstan_err_t err = peer_request(peer, topic_delete_wire(), &request, done_wire(),
                                     TOPIC_ANSWER_US, &body, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    if (options->json) {
        printf("{\"topic\":\"%s\",\"deleted\":true}\n", options->topic);
    } else {
        printf("%s: deleted\n", options->topic);
    }
    return EXIT_DONE;
}

int topic_erase(peer_t *peer, const topic_options_t *options)
{
    const topic_erase_t request = {.topic = slice_text(options->topic),
                                   .key = slice_text(options->key)};
    char text[1024] = "";
    slice_t body;
    topic_erased_t erased;
    capstan_err_t err = peer_request(peer, topic_erase_wire(), &request, topic_erased_wire(),
                                     TOPIC_ANSWER_US, &body, text, sizeof text);
    err = err ? err : codec_decode(topic_erased_wire(), body, &erased, NULL);
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    if (options->json) {
        printf("{\"topic\":\"%s\",\"erased\":%" PRIu64 "}\n", options->topic, erased.events);
    } else {
        printf("%s: %" PRIu64 " events erased\n", options->topic, erased.events);
    }
    return EXIT_DONE;
}

int topic_cancel(peer_t *peer, const topic_options_t *options)
{
    const scheduled_cancel_t request = {.topic = slice_text(options->topic),
                                        .key = slice_text(options->key)};
    char text[1024] = "";
    slice_t body;
    scheduled_cancelled_t cancelled;
    capstan_err_t err =
        peer_request(peer, scheduled_cancel_wire(), &request, scheduled_cancelled_wire(),
                     TOPIC_ANSWER_US, &body, text, sizeof text);
    err = err ? err : codec_decode(scheduled_cancelled_wire(), body, &cancelled, NULL);
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    if (options->json) {
        printf("{\"topic\":\"%s\",\"cancelled\":%" PRIu64 "}\n", options->topic, cancelled.events);
    } else {
        printf("%s: %" PRIu64 " events cancelled\n", options->topic, cancelled.events);
    }
    return EXIT_DONE;
}

/* --- describe -------------------------------------------------------------------------------- */

/* JSON that was written over several lines becomes one. */
static void print_text(const char *name, const char *text)
{
    json_t *json = strchr(text, '\n') ? json_loads(text, 0, NULL) : NULL;
    char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    printf("  %-24s%s\n", name, line ? line : text);
    free(line);
    json_decref(json);
}

static void print_value(const char *name, const json_t *value)
{
    if (json_is_string(value)) {
        print_text(name, json_string_value(value));
    } else {
        printf("  %-24s%" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
    }
}

/* The object's own texts and numbers. */
static void print_values(const char *title, const json_t *object)
{
    const char *name;
    json_t *value;
    printf("%s\n", title);
    json_object_foreach((json_t *)object, name, value)
    {
        if (json_is_integer(value) || json_is_string(value)) {
            print_value(name, value);
        }
    }
}

/* A list of objects, which all have the same members, as a table. */
static void print_list(const json_t *list)
{
    table_t table = {0};
    const char *name;
    json_t *value;
    json_t *first = json_array_get(list, 0);
    json_object_foreach(first, name, value)
    {
        table.columns++;
    }
    json_object_foreach(first, name, value)
    {
        table_cell(&table, slice_text(name));
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_object_foreach(json_array_get(list, i), name, value)
        {
            char number[32];
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
            table_cell(&table,
                       slice_text(json_is_string(value) ? json_string_value(value) : number));
        }
    }
    table_print(&table, 0, stdout);
    table_fini(&table);
}

static void print_described(const topic_options_t *options, slice_t text, const json_t *root)
{
    static const char *const lists[] = {"partitions", "groups", "open_gaps"};
    if (options->json) {
        printf("%.*s\n", (int)text.size, (const char *)text.data);
        return;
    }
    print_values("settings", json_object_get(root, "settings"));
    print_values("figures", root);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const json_t *list = json_object_get(root, lists[i]);
        if (json_array_size(list) > 0) {
            printf("\n%s\n", lists[i]);
            print_list(list);
        }
    }
}

int topic_describe(peer_t *peer, const topic_options_t *options)
{
    const topic_describe_t request = {.topic = slice_text(options->topic)};
    char text[1024] = "";
    slice_t body;
    topic_described_t described;
    capstan_err_t err = peer_request(peer, topic_describe_wire(), &request, topic_described_wire(),
                                     TOPIC_ANSWER_US, &body, text, sizeof text);
    err = err ? err : codec_decode(topic_described_wire(), body, &described, NULL);
    json_t *root = err ? NULL : json_loadb(described.json.data, described.json.size, 0, NULL);
    if (err == CAPSTAN_OK && !json_is_object(root)) {
        err = CAPSTAN_E_MALFORMED;
    }
    if (err != CAPSTAN_OK) {
        json_decref(root);
        return topic_failed(options, err, text);
    }
    print_described(options, described.json, root);
    json_decref(root);
    return EXIT_DONE;
}
