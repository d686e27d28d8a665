/* The settings of a topic: read, checked, changed, stored. */
#include "actors/ordering/topic_settings.h"

#include <criterion/criterion.h>
#include <string.h>

static char text[TOPIC_TEXT_BYTES];

static capstan_err_t add(topic_change_t *change, const char *name, const char *value)
{
    text[0] = '\0';
    return topic_change_add(change, slice_text(name), slice_text(value), text);
}

Test(topic_settings, begin_within_their_own_bounds)
{
    size_t count;
    const topic_setting_row_t *rows = topic_setting_rows(&count);
    topic_settings_t settings = topic_settings_initial();
    cr_assert_gt(count, 0);
    for (size_t i = 0; i < count; i++) {
        cr_assert(rows[i].initial >= rows[i].minimum && rows[i].initial <= rows[i].maximum, "%s",
                  rows[i].name);
    }
    cr_assert_eq(topic_settings_check(&settings, text), CAPSTAN_OK);
}

Test(topic_settings, change_what_is_given_and_nothing_else)
{
    topic_change_t change = {0};
    topic_settings_t before = topic_settings_initial();
    cr_assert_eq(add(&change, "sequence", "producer"), CAPSTAN_OK);
    cr_assert_eq(add(&change, "event_bytes_max", "4096"), CAPSTAN_OK);
    topic_settings_t after = topic_change_apply(&before, &change);
    cr_assert_eq(after.sequence, 1);
    cr_assert_eq(after.event_bytes_max, 4096);
    cr_assert_eq(after.partitions, before.partitions);
    cr_assert_str_eq(topic_change_differs(&before, &change), "sequence");
    cr_assert_null(topic_change_differs(&after, &change));
}

Test(topic_settings, say_what_is_wrong_with_a_name_or_a_value)
{
    static const char *const wrong[][3] = {
        {"retention", "5", "partitions, sequence"},
        {"", "5", "no setting"},
        {"event_bytes_max", "1023", "1024 to 1048576 (bytes)"},
        {"event_bytes_max", "99999999999999999999999", "1024 to 1048576"},
        {"event_bytes_max", "-5", "\"-5\""},
        {"event_bytes_max", "", "1024 to 1048576"},
        {"event_bytes_max", "4k", "\"4k\""},
        {"partitions", "257", "1 to 256"},
        {"sequence", "produce", "producer|arrival"},
        {"sequence", "", "producer|arrival"},
        {"sequence", "1", "producer|arrival"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        topic_change_t change = {0};
        cr_assert_eq(add(&change, wrong[i][0], wrong[i][1]), CAPSTAN_E_INVALID, "%s", wrong[i][0]);
        cr_assert(strstr(text, wrong[i][2]), "%s", text);
        cr_assert_eq(change.given, 0);
    }
}

Test(topic_settings, survive_names_and_values_of_any_size)
{
    char large[5000];
    topic_change_t change = {0};
    memset(large, 'x', sizeof large);
    slice_t all = slice_of(large, sizeof large);
    cr_assert_eq(topic_change_add(&change, all, all, text), CAPSTAN_E_INVALID);
    cr_assert_eq(topic_change_add(&change, slice_text("partitions"), all, text), CAPSTAN_E_INVALID);
    cr_assert_lt(strlen(text), (size_t)TOPIC_TEXT_BYTES);
}

Test(topic_settings, refuse_what_belongs_to_topics_of_the_other_kind)
{
    topic_change_t change = {0};
    topic_settings_t settings = topic_settings_initial();
    cr_assert_eq(add(&change, "gap_timeout_ms", "1000"), CAPSTAN_OK);
    settings = topic_change_apply(&settings, &change);
    cr_assert_eq(topic_settings_check(&settings, text), CAPSTAN_E_INVALID);
    cr_assert(strstr(text, "gap_timeout_ms is for topics with sequence=producer"), "%s", text);
    cr_assert_eq(add(&change, "sequence", "producer"), CAPSTAN_OK);
    settings = topic_change_apply(&settings, &change);
    cr_assert_eq(topic_settings_check(&settings, text), CAPSTAN_OK);
}

Test(topic_settings, remember_ids_for_as_long_as_senders_try)
{
    topic_settings_t settings = topic_settings_initial();
    cr_assert_eq(topic_settings_check_window(&settings, 120000, text), CAPSTAN_OK);
    settings.id_window_ms = 120000;
    cr_assert_eq(topic_settings_check_window(&settings, 120000, text), CAPSTAN_OK);
    settings.id_window_ms = 119999;
    cr_assert_eq(topic_settings_check_window(&settings, 0, text), CAPSTAN_OK);
    cr_assert_eq(topic_settings_check_window(&settings, 120000, text), CAPSTAN_E_ID_WINDOW_SHORT);
    cr_assert(strstr(text, "119999 ms") && strstr(text, "120000 ms"), "%s", text);
}

Test(topic_settings, keep_what_a_topic_was_made_with)
{
    topic_settings_t before = topic_settings_initial();
    topic_settings_t after = before;
    after.event_bytes_max = 2048;
    cr_assert_eq(topic_settings_may_become(&before, &after, false, text), CAPSTAN_OK);
    after.partitions++;
    cr_assert_eq(topic_settings_may_become(&before, &after, false, text), CAPSTAN_E_INVALID);
    cr_assert(strstr(text, "partitions is changed alone"), "%s", text);
    after = before;
    after.sequence = 1;
    cr_assert_eq(topic_settings_may_become(&before, &after, false, text), CAPSTAN_E_SETTING_FIXED);
    cr_assert(strstr(text, "sequence stays arrival"), "%s", text);
}

Test(topic_settings, come_back_as_they_were_stored)
{
    size_t count;
    const topic_setting_row_t *rows = topic_setting_rows(&count);
    topic_settings_t stored = {0};
    for (size_t i = 0; i < count; i++) {
        if (rows[i].type != TOPIC_TEXT) {
            memcpy((char *)&stored + rows[i].offset, &rows[i].maximum, sizeof rows[i].maximum);
        }
    }
    buffer_append(&stored.payload_schema, "{\"type\": \"object\"}", 18);
    buffer_t list = {0};
    topic_change_t change = {0};
    topic_settings_t initial = topic_settings_initial();
    topic_settings_encode(&stored, &list);
    cr_assert_eq(topic_change_decode(&change, buffer_slice(&list), text), CAPSTAN_OK);
    topic_settings_t read = topic_change_apply(&initial, &change);
    cr_assert_str_eq(topic_change_differs(&initial, &change), "partitions");
    cr_assert_null(topic_change_differs(&stored, &change));
    cr_assert(
        slice_equal(buffer_slice(&read.payload_schema), buffer_slice(&stored.payload_schema)));
    cr_assert_eq(read.retention_bytes, stored.retention_bytes);

    cr_assert_neq(topic_change_decode(&change, slice_of(list.data, list.size - 1), text),
                  CAPSTAN_OK);
    buffer_fini(&list);
    topic_change_fini(&change);
    topic_settings_fini(&read);
    topic_settings_fini(&stored);
}

Test(topic_settings, lose_events_only_by_force)
{
    static const struct {
        uint64_t before, after;
        capstan_err_t err;
    } changes[] = {{0, 1000, CAPSTAN_E_LOSES_DATA},
                   {1000, 999, CAPSTAN_E_LOSES_DATA},
                   {1000, 1000, CAPSTAN_OK},
                   {1000, 1001, CAPSTAN_OK},
                   {1000, 0, CAPSTAN_OK}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        topic_settings_t before = topic_settings_initial();
        topic_settings_t after = before;
        before.retention_ms = changes[i].before;
        after.retention_ms = changes[i].after;
        cr_assert_eq(topic_settings_may_become(&before, &after, false, text), changes[i].err);
        cr_assert_eq(topic_settings_may_become(&before, &after, true, text), CAPSTAN_OK);
    }
    topic_settings_t before = topic_settings_initial();
    topic_settings_t after = before;
    after.retention_holds = 2;
    cr_assert_eq(topic_settings_may_become(&before, &after, false, text), CAPSTAN_E_LOSES_DATA);
    cr_assert(strstr(text, "retention_holds is groups"), "%s", text);
    cr_assert_eq(topic_settings_may_become(&after, &before, false, text), CAPSTAN_OK);
}
