#include "actors/saga/definition_form.h"

#include "actors/saga/definition_words.h"
#include "actors/saga/plan_internal.h"
#include "config/values.h"
#include "runtime/wire/pack.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    KEYS_TEXT_MAX = 256,
    WORD_MAX = 64,
};

static const char durations[] = "is no duration: write 500ms, 10s, 5m, 2h or 7d";

static uint64_t line_of(const tree_t *self, uint32_t node)
{
    return tree_at(self, node)->line;
}

/* "a, b, c" */
static const char *join(const char *const *words, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (; *words && used < size; words++) {
        int length = snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", *words);
        used += (size_t)length;
    }
    return text;
}

/* --- maps ------------------------------------------------------------------------------------ */

static void refuse_key(tree_t *self, uint32_t key, const char *what, const char *const *keys)
{
    char all[KEYS_TEXT_MAX];
    char given[WORD_MAX + 1];
    slice_t text = tree_text(self, key);
    snprintf(given, sizeof given, "%.*s", PLAN_TEXT(text));
    nearest_t nearest = nearest_to(given);
    for (size_t i = 0; keys[i]; i++) {
        nearest_offer(&nearest, keys[i]);
    }
    tree_refuse(self, line_of(self, key), "%s: no key of %s%s%s%s: allowed are %s", given, what,
                nearest.best ? ", did you mean " : "", nearest.best ? nearest.best : "",
                nearest.best ? "?" : "", join(keys, all, sizeof all));
}

static bool is_key(slice_t text, const char *const *keys)
{
    while (*keys && !slice_equal(text, slice_text(*keys))) {
        keys++;
    }
    return *keys != NULL;
}

bool form_keys(tree_t *self, uint32_t map, const char *what, const char *const *keys)
{
    char all[KEYS_TEXT_MAX];
    if (tree_at(self, map)->kind != TREE_MAP) {
        tree_refuse(self, line_of(self, map), "%s: lines `key: value` are wanted, allowed are %s",
                    what, join(keys, all, sizeof all));
        return false;
    }
    uint32_t key = tree_at(self, map)->first;
    while (key != TREE_NONE) {
        if (!is_key(tree_text(self, key), keys)) {
            refuse_key(self, key, what, keys);
            return false;
        }
        key = tree_at(self, tree_at(self, key)->next)->next;
    }
    return true;
}

uint32_t form_need(tree_t *self, uint32_t map, const char *key)
{
    uint32_t node = tree_find(self, map, key);
    if (node == TREE_NONE) {
        tree_refuse(self, line_of(self, map), "%s: is missing: add it", key);
    }
    return node;
}

uint32_t form_list(tree_t *self, uint32_t node, const char *key)
{
    if (node == TREE_NONE) {
        return TREE_NONE;
    }
    if (tree_at(self, node)->kind != TREE_LIST) {
        tree_refuse(self, line_of(self, node), "%s: a list is wanted: `- ` before each element",
                    key);
        return TREE_NONE;
    }
    return tree_at(self, node)->first;
}

/* --- scalars --------------------------------------------------------------------------------- */

slice_t form_text(tree_t *self, uint32_t node, const char *key)
{
    bool text = tree_at(self, node)->kind == TREE_TEXT;
    if (!text || tree_at(self, node)->text_size == 0) {
        tree_refuse(self, line_of(self, node), "%s: %s", key,
                    text ? "the value is missing" : "one value is wanted, not a list or a map");
        return slice_of("", 0);
    }
    return tree_text(self, node);
}

static bool find_text(tree_t *self, uint32_t map, const char *key, uint32_t *ret_node,
                      slice_t *ret_text)
{
    uint32_t node = tree_find(self, map, key);
    if (node == TREE_NONE) {
        return false;
    }
    *ret_node = node;
    *ret_text = form_text(self, node, key);
    return !self->failed;
}

void form_name(tree_t *self, uint32_t map, const char *key, slice_t *ret_name)
{
    uint32_t node;
    slice_t text;
    if (!find_text(self, map, key, &node, &text)) {
        return;
    }
    if (!plan_name_valid(text)) {
        tree_refuse(self, line_of(self, node),
                    "%s: `%.*s` is no name: take 1 to %d letters, digits and . _ -", key,
                    PLAN_TEXT(text), PLAN_NAME_MAX);
    }
    *ret_name = text;
}

void form_path(tree_t *self, uint32_t map, const char *key, slice_t *ret_path)
{
    uint32_t node;
    slice_t text;
    if (!find_text(self, map, key, &node, &text)) {
        return;
    }
    if (!value_path_valid(text)) {
        tree_refuse(self, line_of(self, node),
                    "%s: `%.*s` is no path: write words with dots between, for example "
                    "input.amount",
                    key, PLAN_TEXT(text));
    }
    *ret_path = text;
}

void form_bool(tree_t *self, uint32_t map, const char *key, bool *ret_value)
{
    static const char *const words[] = {"true", "false", NULL};
    uint64_t place = 0;
    form_choice(self, map, key, words, &place);
    if (place > 0) {
        *ret_value = place == 1;
    }
}

void form_choice(tree_t *self, uint32_t map, const char *key, const char *const *words,
                 uint64_t *ret_place)
{
    char all[KEYS_TEXT_MAX];
    uint32_t node;
    slice_t text;
    if (!find_text(self, map, key, &node, &text)) {
        return;
    }
    for (uint64_t i = 0; words[i]; i++) {
        if (slice_equal(text, slice_text(words[i]))) {
            *ret_place = i + 1;
            return;
        }
    }
    tree_refuse(self, line_of(self, node), "%s: `%.*s` is none of %s", key, PLAN_TEXT(text),
                join(words, all, sizeof all));
}

void form_number(tree_t *self, uint32_t map, const char *key, form_range_t range,
                 uint64_t *ret_number)
{
    uint32_t node;
    slice_t text;
    uint64_t number = 0;
    if (!find_text(self, map, key, &node, &text)) {
        return;
    }
    if (!words_number(text, &number) || number < range.minimum || number > range.maximum) {
        tree_refuse(self, line_of(self, node),
                    "%s: `%.*s` is no number from %" PRIu64 " to %" PRIu64, key, PLAN_TEXT(text),
                    range.minimum, range.maximum);
    }
    *ret_number = number;
}

void form_percent(tree_t *self, uint32_t map, const char *key, uint64_t *ret_percent)
{
    uint32_t node;
    slice_t text;
    uint64_t percent = 0;
    if (!find_text(self, map, key, &node, &text)) {
        return;
    }
    if (!words_percent(text, &percent) || percent < 1 || percent > 100) {
        tree_refuse(self, line_of(self, node), "%s: `%.*s` is no share from 1%% to 100%%", key,
                    PLAN_TEXT(text));
    }
    *ret_percent = percent;
}

void form_factor(tree_t *self, uint32_t map, const char *key, uint64_t *ret_percent)
{
    uint32_t node;
    slice_t text;
    uint64_t percent = 0;
    if (!find_text(self, map, key, &node, &text)) {
        return;
    }
    if (!words_factor(text, &percent) || percent < 100 || percent > 1000) {
        tree_refuse(self, line_of(self, node),
                    "%s: `%.*s` is no factor from 1 to 10, with two places at most", key,
                    PLAN_TEXT(text));
    }
    *ret_percent = percent;
}

uint64_t form_duration_of(tree_t *self, uint32_t node, const char *key)
{
    uint64_t ms = 0;
    slice_t text = form_text(self, node, key);
    if (!words_duration(text, &ms)) {
        tree_refuse(self, line_of(self, node), "%s: `%.*s` %s", key, PLAN_TEXT(text), durations);
    } else if (ms < 1 || ms > PLAN_MS_MAX) {
        tree_refuse(self, line_of(self, node), "%s: `%.*s` is not from 1ms to 3650d", key,
                    PLAN_TEXT(text));
    }
    return ms;
}

void form_duration(tree_t *self, uint32_t map, const char *key, uint64_t *ret_ms)
{
    uint32_t node = tree_find(self, map, key);
    if (node != TREE_NONE) {
        *ret_ms = form_duration_of(self, node, key);
    }
}

/* --- records and values ---------------------------------------------------------------------- */

void form_test(tree_t *self, uint32_t map, const char *key, buffer_t *out)
{
    uint32_t node;
    slice_t text;
    if (!find_text(self, map, key, &node, &text)) {
        return;
    }
    const char *wrong = words_test(text, out);
    if (wrong) {
        tree_refuse(self, line_of(self, node), "%s: `%.*s` is no test: %s", key, PLAN_TEXT(text),
                    wrong);
    }
}

static void append_head(buffer_t *out, uint8_t type, uint32_t count)
{
    uint8_t *at = buffer_reserve(out, PACK_HEAD_MAX);
    *at = count < 16 ? (uint8_t)(type | count) : type == 0x80 ? 0xdf : 0xdd;
    pack_u32(at + 1, count);
    out->size += count < 16 ? 1 : PACK_HEAD_MAX;
}

/* Its depth is the tree's, so that recursion is bounded. Keys are texts. */
void form_value(tree_t *self, uint32_t node, const char *key, buffer_t *out)
{
    const tree_node_t *at = tree_at(self, node);
    slice_t text = tree_text(self, node);
    uint32_t count = 0;
    if (at->kind == TREE_TEXT) {
        if (!at->plain) {
            words_text(text, out);
        } else if (!words_scalar(text, out)) {
            tree_refuse(self, at->line, "%s: `%.*s` is too large for a number: put it in quotes",
                        key, PLAN_TEXT(text));
        }
        return;
    }
    for (uint32_t i = at->first; i != TREE_NONE; i = tree_at(self, i)->next) {
        count++;
    }
    bool map = at->kind == TREE_MAP;
    append_head(out, map ? 0x80 : 0x90, map ? count / 2 : count);
    bool is_name = map;
    for (uint32_t i = at->first; i != TREE_NONE; i = tree_at(self, i)->next) {
        if (is_name) {
            words_text(tree_text(self, i), out);
        } else {
            form_value(self, i, key, out);
        }
        is_name = map && !is_name;
    }
}

static void add_final(tree_t *self, uint32_t list, buffer_t *out)
{
    codec_list_writer_t words = codec_list_begin(out);
    uint32_t at = form_list(self, list, "final");
    for (; at != TREE_NONE; at = tree_at(self, at)->next) {
        saga_word_t word = {.word = form_text(self, at, "final")};
        if (!plan_name_valid(word.word)) {
            tree_refuse(self, line_of(self, at),
                        "final: `%.*s` is no error: take 1 to %d letters, digits and . _ -",
                        PLAN_TEXT(word.word), PLAN_NAME_MAX);
        }
        codec_list_add(&words, saga_word_wire(), &word);
    }
    codec_list_end(&words);
}

void form_retry(tree_t *self, uint32_t map, const char *key, buffer_t *out)
{
    static const char *const keys[] = {"initial", "factor", "maximum", "attempts",
                                       "jitter",  "final",  NULL};
    uint32_t node = tree_find(self, map, key);
    if (node == TREE_NONE || !form_keys(self, node, key, keys)) {
        return;
    }
    buffer_t final = {0};
    saga_retry_t retry = {0};
    form_duration(self, node, "initial", &retry.initial_ms);
    form_factor(self, node, "factor", &retry.factor_percent);
    form_duration(self, node, "maximum", &retry.max_ms);
    form_number(self, node, "attempts", (form_range_t){1, 1000}, &retry.attempts_max);
    form_percent(self, node, "jitter", &retry.jitter_percent);
    if ((retry.max_ms ? retry.max_ms : 60000) < (retry.initial_ms ? retry.initial_ms : 100)) {
        tree_refuse(self, line_of(self, node),
                    "%s: maximum, 1m where it is not given, is below initial: raise it", key);
    }
    uint32_t list = tree_find(self, node, "final");
    if (list != TREE_NONE) {
        add_final(self, list, &final);
        retry.final = buffer_slice(&final);
    }
    codec_encode(saga_retry_wire(), &retry, out);
    buffer_fini(&final);
}
