/* Definitions as people write them: the documented example, what each key becomes, and what is said
 * of files that are wrong. */
#include "actors/saga/definition_words.h"
#include "tests/kit/plan_round_trip.h"
#include "tests/unit/saga/document_kit.h"

#include <criterion/criterion.h>
#include <limits.h>

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static plan_fault_t fault;

static void read_yaml(slice_t text, buffer_t *record)
{
    buffer_clear(record);
    cr_assert_eq(definition_from_yaml(text, "order.yaml", record, &fault), CAPSTAN_OK, "%s",
                 fault.text);
}

static plan_t *plan_of(const char *text)
{
    buffer_t record = {0};
    plan_t *plan = NULL;
    read_yaml(slice_text(text), &record);
    cr_assert_eq(plan_read(buffer_slice(&record), &plan, &fault), CAPSTAN_OK);
    buffer_fini(&record);
    return plan;
}

/* --- the documented example ------------------------------------------------------------------ */

/* The first YAML of docs/sagas.md. */
static slice_t documented(buffer_t *page)
{
    char path[PATH_MAX];
    const char *root = getenv("CAPSTAN_SOURCE_DIR");
    cr_assert(root);
    snprintf(path, sizeof path, "%s/docs/sagas.md", root);
    FILE *file = fopen(path, "re");
    cr_assert(file, "%s", path);
    uint8_t *room = buffer_reserve(page, 1 << 20);
    page->size = fread(room, 1, (1 << 20) - 1, file);
    room[page->size] = '\0';
    fclose(file);
    const char *begin = strstr((const char *)page->data, "```yaml\n");
    cr_assert(begin);
    begin += strlen("```yaml\n");
    const char *end = strstr(begin, "```");
    cr_assert(end);
    return slice_of(begin, (size_t)(end - begin));
}

Test(definition_yaml, survives_a_round_trip_of_the_documented_example)
{
    buffer_t page = {0};
    buffer_t record = {0};
    read_yaml(documented(&page), &record);
    cr_assert(plan_survives(buffer_slice(&record), &fault), "%s", fault.text);
    buffer_fini(&page);
    buffer_fini(&record);
}

static uint32_t node_named(const plan_t *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        if (slice_equal(plan->nodes[i].name, slice_text(name))) {
            return i;
        }
    }
    cr_assert_fail("no node %s", name);
    return PLAN_NONE;
}

static bool is_text(slice_t slice, const char *text)
{
    return slice_equal(slice, slice_text(text));
}

Test(definition_yaml, says_of_the_whole_what_the_documented_example_says)
{
    buffer_t page = {0};
    buffer_t record = {0};
    plan_t *plan = NULL;
    read_yaml(documented(&page), &record);
    cr_assert_eq(plan_read(buffer_slice(&record), &plan, &fault), CAPSTAN_OK);
    cr_assert(is_text(plan->name, "order"));
    cr_assert_eq(plan->version, 1);
    cr_assert(is_text(plan->key, "input.order"));
    cr_assert_eq(plan->deadline_us, INT64_C(7200000000));
    cr_assert_eq(plan->undo_order, PLAN_UNDO_REVERSE);
    cr_assert_eq(plan->undo_deadline_us, INT64_C(3600000000));
    cr_assert_eq(plan->undo_retry.initial_us, 100000);
    cr_assert_eq(plan->undo_retry.factor_percent, 200);
    cr_assert_eq(plan->undo_retry.max_us, 60000000);
    cr_assert_eq(plan->undo_retry.attempts_max, 100);
    cr_assert_eq(plan->undo_retry.jitter_percent, 20);
    cr_assert(plan->lock);
    cr_assert(is_text(plan->start_topic, "orders"));
    cr_assert(is_text(plan->start_test.path, "event.type"));
    cr_assert_eq(plan->start_test.operator, VALUE_EQUAL);
    cr_assert(is_text(plan->start_test.operand, "\xa6placed"));
    cr_assert_eq(plan->running_max, 1000);
    cr_assert_eq(plan->waiting_max, 10000);
    cr_assert_eq(plan->starts_per_minute, 6000);
    cr_assert_eq(plan->priority, 5);
    cr_assert_eq(plan->retention_us, INT64_C(2592000000000));
    cr_assert(is_text(plan->outcome, "delivered"));
    cr_assert_eq(plan->attributes, 1);
    cr_assert(is_text(plan->attribute_names[0], "customer"));
    cr_assert(is_text(plan->attribute_paths[0], "input.customer"));
    plan_destroy(&plan);
    buffer_fini(&page);
    buffer_fini(&record);
}

/* The step of the example with every key, and a node of each other kind. */
static void expect_nodes(const plan_t *plan)
{
    buffer_t input = {0};
    const plan_node_t *nodes = plan->nodes;
    const plan_node_t *reserve = &nodes[node_named(plan, "reserve")];
    cr_assert_eq(reserve->line, 19);
    cr_assert_eq(reserve->class, PLAN_COMPENSATABLE);
    cr_assert(is_text(reserve->participant, "stock"));
    cr_assert(is_text(reserve->compensation, "release"));
    cr_assert_eq(reserve->retry.attempts_max, 5);
    codec_list_t list;
    saga_word_t word;
    cr_assert_eq(codec_list_open(saga_word_wire(), reserve->retry.final, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &word) && is_text(word.word, "OUT_OF_STOCK"));
    cr_assert_not(codec_list_next(&list, &word));
    cr_assert_eq(reserve->attempt_us, 2000000);
    cr_assert_eq(reserve->step_us, 30000000);
    slice_t wanted = document(&input, "{\"article\":\"$input.article\",\"pieces\":2,"
                                      "\"note\":\"2\",\"price\":\"$$5\"}");
    input.data[4] = 0x84; /* a short head, as the reader writes it */
    cr_assert(slice_equal(reserve->input, slice_of(input.data + 4, wanted.size - 4)));
    const plan_node_t *decision = &nodes[node_named(plan, "decision")];
    cr_assert_eq(decision->kind, PLAN_AWAIT);
    cr_assert_eq(nodes[decision->first].source, PLAN_EVENT);
    cr_assert(is_text(nodes[decision->first].topic, "payments"));
    cr_assert_eq(nodes[nodes[decision->first].next].source, PLAN_SIGNAL);
    cr_assert(is_text(nodes[nodes[decision->first].next].signal, "approve"));
    const plan_node_t *notify = &nodes[node_named(plan, "notify")];
    cr_assert(is_text(notify->list, "input.watchers"));
    cr_assert_eq(notify->count_max, 100);
    cr_assert_eq(notify->needed, 3);
    cr_assert_eq(notify->width_max, 10);
    const plan_node_t *shipping = &nodes[node_named(plan, "shipping")];
    cr_assert(is_text(shipping->definition, "shipping"));
    cr_assert_eq(shipping->version, 2);
    cr_assert_eq(nodes[node_named(plan, "charge")].class, PLAN_PIVOT);
    cr_assert_eq(nodes[node_named(plan, "mail")].class, PLAN_RETRIABLE);
    const plan_node_t *loop = &nodes[nodes[node_named(plan, "reserve_more")].parent];
    cr_assert_eq(loop->kind, PLAN_LOOP);
    cr_assert_eq(loop->count_max, 10);
    cr_assert_eq(loop->test.operator, VALUE_GREATER);
    cr_assert_eq(nodes[plan->count - 1].kind, PLAN_END);
    cr_assert(is_text(nodes[plan->count - 1].outcome, "done"));
    cr_assert_not(nodes[plan->count - 1].undo);
    buffer_fini(&input);
}

Test(definition_yaml, says_of_the_nodes_what_the_documented_example_says)
{
    buffer_t page = {0};
    buffer_t record = {0};
    plan_t *plan = NULL;
    read_yaml(documented(&page), &record);
    cr_assert_eq(plan_read(buffer_slice(&record), &plan, &fault), CAPSTAN_OK);
    expect_nodes(plan);
    plan_destroy(&plan);
    buffer_fini(&page);
    buffer_fini(&record);
}

/* --- words ----------------------------------------------------------------------------------- */

Test(definition_words, are_durations_shares_and_factors)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } durations[] = {
        {"500ms", 500}, {"10s", 10000}, {"5m", 300000}, {"2h", 7200000}, {"7d", 604800000}};
    static const char *const no_durations[] = {"",
                                               "5",
                                               "s",
                                               "1.5s",
                                               "-1s",
                                               "5 s",
                                               "5S",
                                               "1w",
                                               "0x5s",
                                               "99999999999999999999s",
                                               "18446744073709551615d"};
    uint64_t number = 0;
    for (size_t i = 0; i < COUNT(durations); i++) {
        cr_assert(words_duration(slice_text(durations[i].text), &number));
        cr_assert_eq(number, durations[i].ms, "%s", durations[i].text);
    }
    for (size_t i = 0; i < COUNT(no_durations); i++) {
        cr_assert_not(words_duration(slice_text(no_durations[i]), &number), "%s", no_durations[i]);
    }
    cr_assert(words_percent(slice_text("20%"), &number) && number == 20);
    cr_assert_not(words_percent(slice_text("20"), &number));
    cr_assert(words_factor(slice_text("2"), &number) && number == 200);
    cr_assert(words_factor(slice_text("1.5"), &number) && number == 150);
    cr_assert(words_factor(slice_text("1.05"), &number) && number == 105);
    cr_assert_not(words_factor(slice_text("1.005"), &number));
    cr_assert_not(words_factor(slice_text("1."), &number));
    cr_assert_not(words_factor(slice_text("x"), &number));
}

static void expect_scalar(slice_t text, slice_t wanted)
{
    buffer_t out = {0};
    cr_assert(words_scalar(text, &out), "%.*s", (int)text.size, (const char *)text.data);
    cr_assert(slice_equal(buffer_slice(&out), wanted), "%.*s", (int)text.size,
              (const char *)text.data);
    buffer_fini(&out);
}

Test(definition_words, have_the_types_of_the_core_schema)
{
    static const char *const as_json[][2] = {
        {"", "null"},
        {"~", "null"},
        {"null", "null"},
        {"Null", "null"},
        {"NULL", "null"},
        {"nULL", "\"nULL\""},
        {"true", "true"},
        {"FALSE", "false"},
        {"yes", "\"yes\""},
        {"1", "1"},
        {"+1", "1"},
        {"-1", "-1"},
        {"007", "7"},
        {"0x1F", "31"},
        {"0o17", "15"},
        {"0x", "\"0x\""},
        {"0xg", "\"0xg\""},
        {"0o8", "\"0o8\""},
        {"1.5", "1.5"},
        {"-1.5e3", "-1500.0"},
        {".5", "0.5"},
        {"5.", "5.0"},
        {"1e3", "1000.0"},
        {"1e", "\"1e\""},
        {".", "\".\""},
        {"-", "\"-\""},
        {"1_000", "\"1_000\""},
        {"1.2.3", "\"1.2.3\""},
        {"2024-01-01", "\"2024-01-01\""},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
    };
    buffer_t wanted = {0};
    for (size_t i = 0; i < COUNT(as_json); i++) {
        expect_scalar(slice_text(as_json[i][0]), document(&wanted, as_json[i][1]));
    }
    expect_scalar(slice_text("18446744073709551615"),
                  slice_of("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9));
    expect_scalar(slice_text("-.inf"), slice_of("\xcb\xff\xf0\0\0\0\0\0\0", 9));
    cr_assert_not(words_scalar(slice_text("18446744073709551616"), &wanted));
    cr_assert_not(words_scalar(slice_text("-9223372036854775809"), &wanted));
    cr_assert_not(words_scalar(slice_text("1e999"), &wanted));
    buffer_fini(&wanted);
}

Test(definition_words, make_records_of_tests)
{
    static const struct {
        const char *text;
        const char *path;
        value_operator_t operator;
        const char *operand; /* as JSON */
    } rows[] = {
        {"a.b == 1", "a.b", VALUE_EQUAL, "1"},
        {"a!=x", "a", VALUE_NOT_EQUAL, "\"x\""},
        {"a < -1.5", "a", VALUE_LESS, "-1.5"},
        {"a<=1", "a", VALUE_AT_MOST, "1"},
        {"  a > 1  ", "a", VALUE_GREATER, "1"},
        {"a >= 1", "a", VALUE_AT_LEAST, "1"},
        {"a == true", "a", VALUE_EQUAL, "true"},
        {"a == null", "a", VALUE_EQUAL, "null"},
        {"a == \"true\"", "a", VALUE_EQUAL, "\"true\""},
        {"a == 'two \"words\"'", "a", VALUE_EQUAL, "\"two \\\"words\\\"\""},
        {"a == ''", "a", VALUE_EQUAL, "\"\""},
        {"a exists", "a", VALUE_EXISTS, NULL},
        {"a missing", "a", VALUE_EXISTS_NOT, NULL},
    };
    static const char *const wrong[] = {
        "",         "a",          "a ==",    "== 1",       "a = 1",     "a == b c",
        "a == \"b", "a == 'b' c", "a exist", "a exists 1", "a..b == 1", "a == 99999999999999999999",
        "a === 1",  "a <> 1",
    };
    buffer_t wanted = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        buffer_t out = {0};
        saga_test_t test;
        cr_assert_null(words_test(slice_text(rows[i].text), &out), "%s", rows[i].text);
        cr_assert_eq(codec_decode(saga_test_wire(), buffer_slice(&out), &test, NULL), CAPSTAN_OK);
        cr_assert(is_text(test.path, rows[i].path), "%s", rows[i].text);
        cr_assert_eq(test.operator, rows[i].operator, "%s", rows[i].text);
        cr_assert(rows[i].operand ? slice_equal(test.operand, document(&wanted, rows[i].operand))
                                  : test.operand.size == 0,
                  "%s", rows[i].text);
        buffer_fini(&out);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        cr_assert_not_null(words_test(slice_text(wrong[i]), &wanted), "%s", wrong[i]);
    }
    buffer_fini(&wanted);
}

/* --- forms ----------------------------------------------------------------------------------- */

#define HEAD "saga: a\nversion: 1\n"

Test(definition_yaml, takes_keys_in_any_order_and_both_styles)
{
    plan_t *plan = plan_of("steps:\n"
                           "- {loop: {steps: [{sleep: 1s}], maximum: 2, while: input.a exists}}\n"
                           "- action: b\n"
                           "  class: read\n"
                           "  participant: p\n"
                           "  step: s\n"
                           "version: 3\n"
                           "saga: \"a\"\n");
    cr_assert_eq(plan->version, 3);
    cr_assert_eq(plan->count, 4);
    cr_assert_eq(plan->nodes[1].kind, PLAN_LOOP);
    cr_assert_eq(plan->nodes[2].parent, 1);
    cr_assert_eq(plan->nodes[3].line, 3);
    plan_destroy(&plan);
}

typedef struct row {
    const char *text;
    const char *wanted;
} row_t;

static void refuse(const row_t *row)
{
    buffer_t out = {0};
    buffer_append(&out, "before", 6);
    capstan_err_t err = definition_from_yaml(slice_text(row->text), "order.yaml", &out, &fault);
    cr_assert_eq(err, CAPSTAN_E_SAGA_DEFINITION, "%s", row->text);
    cr_assert_str_eq(fault.text, row->wanted);
    cr_assert_eq(out.size, 6);
    buffer_fini(&out);
}

#define REFUSE_ALL(rows)                                                                           \
    for (size_t i = 0; i < COUNT(rows); i++) {                                                     \
        refuse(&(rows)[i]);                                                                        \
    }
#define ONE_STEP "steps:\n- sleep: 1s\n"

Test(definition_yaml, refuses_files_that_are_no_maps_of_known_keys)
{
    static const row_t rows[] = {
        {"", "order.yaml:1: empty: a definition begins with `saga: NAME`"},
        {"- a\n", "order.yaml:1: definition: lines `key: value` are wanted, allowed are saga, "
                  "version, key, deadline, compensation, lock, start, schedule, running_maximum, "
                  "waiting_maximum, starts_per_minute, priority, attributes, retention, outcome, "
                  "steps"},
        {"saga: a\nkey: @a\n",
         "order.yaml:2: not YAML: found character that cannot start any token, while scanning for "
         "the next token; indent with blanks, not tabs, and quote texts that begin with @ or `"},
        {"saga: &x a\n",
         "order.yaml:1: anchors and aliases are not used in definitions: write the value itself"},
        {"saga: a\nkey: *x\n",
         "order.yaml:2: anchors and aliases are not used in definitions: write the value itself"},
        {"saga: !!str a\n", "order.yaml:1: tags are not used in definitions: write the value "
                            "itself"},
        {"saga: a\n---\nsaga: b\n", "order.yaml:2: a second document: a file has one definition"},
        {"saga: a\nversion: 1\nsaga: b\n", "order.yaml:3: saga: given twice, first in line 1"},
        {"? [a]\n: b\n", "order.yaml:1: a key must be a plain word"},
        {HEAD "outcomes: x\n" ONE_STEP,
         "order.yaml:3: outcomes: no key of definition, did you mean outcome?: allowed are saga, "
         "version, key, deadline, compensation, lock, start, schedule, running_maximum, "
         "waiting_maximum, starts_per_minute, priority, attributes, retention, outcome, steps"},
        {"version: 1\n" ONE_STEP, "order.yaml:1: saga: is missing: add it"},
        {"saga: a\n" ONE_STEP, "order.yaml:1: version: is missing: add it"},
        {HEAD, "order.yaml:1: steps: is missing: add it"},
        {HEAD "steps: {}\n", "order.yaml:3: steps: a list is wanted: `- ` before each element"},
        {HEAD "steps: []\n",
         "order.yaml:3: sequence (node 0): is empty: put steps in it, or leave it out"},
    };
    REFUSE_ALL(rows)
}

Test(definition_yaml, refuses_figures_and_words_that_are_none)
{
    static const row_t rows[] = {
        {"saga:\nversion: 1\n" ONE_STEP, "order.yaml:1: saga: the value is missing"},
        {"saga: [a]\nversion: 1\n" ONE_STEP,
         "order.yaml:1: saga: one value is wanted, not a list or a map"},
        {"saga: a b\nversion: 1\n" ONE_STEP,
         "order.yaml:1: saga: `a b` is no name: take 1 to 64 letters, digits and . _ -"},
        {"saga: a\nversion: 0\n" ONE_STEP,
         "order.yaml:2: version: `0` is no number from 1 to 4294967295"},
        {HEAD "deadline: 2x\n" ONE_STEP,
         "order.yaml:3: deadline: `2x` is no duration: write 500ms, 10s, 5m, 2h or 7d"},
        {HEAD "deadline: 0s\n" ONE_STEP, "order.yaml:3: deadline: `0s` is not from 1ms to 3650d"},
        {HEAD "retention: 4000d\n" ONE_STEP,
         "order.yaml:3: retention: `4000d` is not from 1ms to 3650d"},
        {HEAD "lock: yes\n" ONE_STEP, "order.yaml:3: lock: `yes` is none of true, false"},
        {HEAD "key: input..a\n" ONE_STEP,
         "order.yaml:3: key: `input..a` is no path: write words with dots between, for example "
         "input.amount"},
        {HEAD "priority: 10\n" ONE_STEP, "order.yaml:3: priority: `10` is no number from 1 to 9"},
        {HEAD "running_maximum: x\n" ONE_STEP,
         "order.yaml:3: running_maximum: `x` is no number from 1 to 1000000"},
        {HEAD "compensation: {order: forward}\n" ONE_STEP,
         "order.yaml:3: order: `forward` is none of reverse, parallel"},
        {HEAD "compensation: {retry: {jitter: 0%}}\n" ONE_STEP,
         "order.yaml:3: jitter: `0%` is no share from 1% to 100%"},
        {HEAD "compensation: {retry: {factor: 0.5}}\n" ONE_STEP,
         "order.yaml:3: factor: `0.5` is no factor from 1 to 10, with two places at most"},
        {HEAD "compensation: {retry: {initial: 2m}}\n" ONE_STEP,
         "order.yaml:3: retry: maximum, 1m where it is not given, is below initial: raise it"},
        {HEAD "compensation:\n  retry:\n    final: [A, 'B C']\n" ONE_STEP,
         "order.yaml:5: final: `B C` is no error: take 1 to 64 letters, digits and . _ -"},
        {HEAD "compensation: {retry: {tries: 1}}\n" ONE_STEP,
         "order.yaml:3: tries: no key of retry: allowed are initial, factor, maximum, attempts, "
         "jitter, final"},
        {HEAD "start: {topic: 'a b'}\n" ONE_STEP,
         "order.yaml:3: topic: `a b` is no name: take 1 to 128 letters, digits and . _ -"},
        {HEAD "start: {when: event.a exists}\n" ONE_STEP,
         "order.yaml:3: topic: is missing: add it"},
        {HEAD "start: {topic: a, when: event.a = 1}\n" ONE_STEP,
         "order.yaml:3: when: `event.a = 1` is no test: write PATH OPERATOR VALUE with == != < <= "
         "> >=, PATH exists, or PATH missing"},
        {HEAD "schedule: hourly\n" ONE_STEP,
         "order.yaml:3: schedule: `hourly` is none: write minute hour day month weekday, for "
         "example \"*/5 * * * *\""},
        {HEAD "attributes: [a]\n" ONE_STEP,
         "order.yaml:3: attributes: lines `NAME: PATH` are wanted, at most 8"},
        {HEAD "attributes:\n  a b: input\n" ONE_STEP,
         "order.yaml:4: attributes: at most 8 are possible, with names of 1 to 64 letters, digits "
         "and . _ -"},
        {HEAD "attributes:\n  a: $input\n" ONE_STEP,
         "order.yaml:4: a: `$input` is no path: write words with dots between, for example "
         "input.amount"},
    };
    REFUSE_ALL(rows)
}

#define ACTION "  participant: p\n  action: b\n"

Test(definition_yaml, refuses_nodes_that_are_none)
{
    static const row_t rows[] = {
        {HEAD "steps:\n- a\n",
         "order.yaml:4: no node: each has one of step, parallel, sequence, choice, loop, sleep, "
         "await, each, child, end"},
        {HEAD "steps:\n- stp: a\n",
         "order.yaml:4: stp: no node: each has one of step, parallel, sequence, choice, loop, "
         "sleep, await, each, child, end"},
        {HEAD "steps:\n- step: a\n  sleep: 1s\n",
         "order.yaml:4: step and sleep: make two nodes of them"},
        {HEAD "steps:\n- step: a\n  actoin: b\n",
         "order.yaml:5: actoin: no key of step, did you mean action?: allowed are step, "
         "participant, action, compensation, class, input, retry, attempt_timeout, timeout"},
        {HEAD "steps:\n- step: a\n  action: b\n", "order.yaml:4: participant: is missing: add it"},
        {HEAD "steps:\n- step: a\n  participant: p\n", "order.yaml:4: action: is missing: add it"},
        {HEAD "steps:\n- step: a\n" ACTION "  class: none\n",
         "order.yaml:7: class: `none` is none of compensatable, pivot, retriable, read"},
        {HEAD "steps:\n- step: a\n" ACTION "  timeout: 5\n",
         "order.yaml:7: timeout: `5` is no duration: write 500ms, 10s, 5m, 2h or 7d"},
        {HEAD "steps:\n- step: a\n" ACTION "  class: read\n  input:\n    a: 1\n    b: [1e999]\n",
         "order.yaml:10: input: `1e999` is too large for a number: put it in quotes"},
        {HEAD "steps:\n- step: a\n" ACTION "  class: read\n  input: {a: 1, a: 2}\n",
         "order.yaml:8: a: given twice, first in line 8"},
        {HEAD "steps:\n- loop: {maximum: 1, steps: [{sleep: 1s}]}\n",
         "order.yaml:4: while: is missing: add it"},
        {HEAD "steps:\n- loop: {while: input.a exists, steps: [{sleep: 1s}]}\n",
         "order.yaml:4: maximum: is missing: add it"},
        {HEAD "steps:\n- loop: {while: input.a exists, maximum: 10001, steps: [{sleep: 1s}]}\n",
         "order.yaml:4: maximum: `10001` is no number from 1 to 10000"},
        {HEAD "steps:\n- loop: {while: input.a exists, maximum: 1}\n",
         "order.yaml:4: steps: is missing: add it"},
        {HEAD "steps:\n- each: a\n  list: input\n  maximum: 1\n",
         "order.yaml:4: steps: is missing: add it"},
        {HEAD "steps:\n- each: a\n  maximum: 1\n", "order.yaml:4: list: is missing: add it"},
        {HEAD "steps:\n- child: a\n", "order.yaml:4: saga: is missing: add it"},
        {HEAD "steps:\n- end: over\n",
         "order.yaml:4: end: lines `key: value` are wanted, allowed are outcome, undo"},
        {HEAD "steps:\n- end: {undo: true}\n", "order.yaml:4: outcome: is missing: add it"},
        {HEAD "steps:\n- choice:\n  - steps: []\n", "order.yaml:5: when: is missing: add it"},
        {HEAD "steps:\n- choice:\n  - otherwise: []\n    when: input.a exists\n",
         "order.yaml:6: when: no key of choice: allowed are otherwise"},
        {HEAD "steps:\n- await: a\n", "order.yaml:4: any: is missing: add it"},
        {HEAD "steps:\n- await: a\n  any: [{steps: []}]\n",
         "order.yaml:5: any: each element has one of event, signal, timeout"},
        {HEAD "steps:\n- await: a\n  any: [{signal: s, timeout: 1s}]\n",
         "order.yaml:5: any: each element has one of event, signal, timeout"},
        {HEAD "steps:\n- await: a\n  any: [{event: t}]\n",
         "order.yaml:5: event: lines `key: value` are wanted, allowed are topic, when"},
    };
    REFUSE_ALL(rows)
}

Test(definition_yaml, refuses_with_its_line_what_cannot_be_safe)
{
    static const row_t rows[] = {
        {HEAD "steps:\n- sleep: 1s\n- step: a\n" ACTION,
         "order.yaml:5: step a: has no compensation: name the action that undoes it, or say by its "
         "class that it is a pivot, retriable or read"},
        {HEAD "lock: true\n" ONE_STEP,
         "order.yaml:3: saga a: locks its key and has none: give it a key, or let an event start "
         "it, or leave the lock out"},
        {HEAD "key: event.a\n" ONE_STEP,
         "order.yaml:3: saga a: key: `event.a`: event is not known here: take input"},
        {HEAD "attributes:\n  a: reserve.a\n" ONE_STEP,
         "order.yaml:4: saga a: attribute: `reserve.a`: reserve is not known here: take input"},
        {HEAD "start: {topic: t, when: input.a exists}\n" ONE_STEP,
         "order.yaml:3: saga a: start_test: `input.a`: input is not known here: take event"},
        {HEAD "steps:\n- choice:\n  - when: input.a < true\n    steps: []\n",
         "order.yaml:5: branch (node 2): test: booleans and nil are neither less nor greater: ask "
         "whether they are equal"},
        {HEAD "steps:\n- each: a\n  list: input\n  maximum: 1\n  needed: 2\n  steps:\n"
              "  - sleep: 1s\n",
         "order.yaml:4: each a: needs more items than it has at most: lower needed"},
    };
    REFUSE_ALL(rows)
}

/* --- what is too much ------------------------------------------------------------------------ */

/* `text` so many times between a beginning and an end. */
static void refuse_many(const char *begin, const char *text, size_t count, const char *wanted)
{
    buffer_t all = {0};
    buffer_append(&all, begin, strlen(begin));
    for (size_t i = 0; i < count; i++) {
        buffer_append(&all, text, strlen(text));
    }
    buffer_append(&all, "", 1);
    refuse(&(row_t){(const char *)all.data, wanted});
    buffer_fini(&all);
}

Test(definition_yaml, refuses_what_is_too_large_deep_or_long)
{
    refuse_many("saga: ", "a", PLAN_BYTES_MAX,
                "order.yaml:1: 262150 bytes: a definition has at most 262144");
    refuse_many("saga: ", "[", 10000, "order.yaml:1: deeper than 64: make a child of it");
    refuse_many("saga: [", "1,", 40000,
                "order.yaml:1: more than 32768 values: this is no definition");
    refuse_many(HEAD "steps:\n", "- sleep: 1s\n", 1000,
                "order.yaml:1003: more than 1000 nodes: make children of some");
    buffer_t keys = {0};
    char line[32];
    for (int i = 0; i <= 1000; i++) {
        int size = snprintf(line, sizeof line, "k%d: 1\n", i);
        buffer_append(&keys, line, (size_t)size);
    }
    buffer_append(&keys, "", 1);
    refuse(&(row_t){(const char *)keys.data, "order.yaml:1001: more than 1000 keys in one map"});
    buffer_fini(&keys);
}
