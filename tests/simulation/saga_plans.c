/* Definitions at random: every kind of node, class and figure, as far as a definition may have
 * them. What comes out is read by plan_read, which refuses what is not valid: that is a defect of
 * this file.
 *
 * A step's action is named by a number, which says how participants do it. Names that a path may
 * refer to are kept in a stack: what stands in a branch or beside it is taken off again. */
#include "runtime/wire/pack.h"
#include "tests/simulation/saga_world.h"

enum {
    NAMES_MAX = 64,
    DEPTH_MAX = 6,
    VALUES_MAX = 4, /* numbers in documents are 0 .. 3 */
};

typedef struct maker {
    world_t *world;
    random_source_t *dice;
    uint32_t index; /* of the definition: its children are later ones */
    bool event_key; /* events can be awaited */
    buffer_t nodes;
    codec_list_writer_t list;
    uint64_t count;
    int64_t budget;
    uint32_t name_last;
    uint32_t names[NAMES_MAX]; /* known here */
    uint32_t name_count;
    bool behind;        /* the point from which on nothing is undone */
    uint32_t unordered; /* depth within parallel, each and loop */
    uint32_t items;     /* within each */
    buffer_t input;
    buffer_t retry;
    buffer_t test;
    buffer_t operand;
    char text[8][64];
} maker_t;

static bool make_children(maker_t *self, uint64_t parent, uint32_t depth);

/* --- documents ------------------------------------------------------------------------------- */

static void put_head(buffer_t *out, uint8_t head)
{
    buffer_append(out, &head, 1);
}

static void put_text(buffer_t *out, const char *text)
{
    uint8_t *at = buffer_reserve(out, PACK_HEAD_MAX + strlen(text));
    out->size += (size_t)(pack_str(at, slice_text(text)) - at);
}

static void put_number(buffer_t *out, uint64_t number)
{
    uint8_t *at = buffer_reserve(out, PACK_UINT_MAX);
    out->size += (size_t)(pack_uint(at, number) - at);
}

void plans_make_input(random_source_t *dice, buffer_t *out)
{
    bool maybe = random_chance(dice, 300);
    uint32_t items = (uint32_t)random_below(dice, 5);
    char key[] = "k0";
    key[1] = (char)('0' + random_below(dice, WORLD_KEYS));
    put_head(out, (uint8_t)(0x83 + maybe));
    put_text(out, "a");
    put_number(out, random_below(dice, VALUES_MAX));
    put_text(out, "key");
    put_text(out, key);
    put_text(out, "list");
    put_head(out, (uint8_t)(0x90 + items));
    for (uint32_t i = 0; i < items; i++) {
        put_number(out, random_below(dice, VALUES_MAX));
    }
    if (maybe) {
        put_text(out, "maybe");
        put_number(out, 1);
    }
}

/* A path to a value that may be there; most are. */
static const char *some_path(maker_t *self, char text[64])
{
    random_source_t *dice = self->dice;
    static const char *const of_input[] = {"input.a", "input.a", "input.key", "input.list.0"};
    if (self->name_count > 0 && random_chance(dice, 500)) {
        snprintf(text, 64, "n%u.v", self->names[random_below(dice, self->name_count)]);
    } else if (random_chance(dice, 40)) {
        snprintf(text, 64, "input.maybe");
    } else if (self->items > 0 && random_chance(dice, 400)) {
        snprintf(text, 64, "item");
    } else {
        snprintf(text, 64, "%s", of_input[random_below(dice, 4)]);
    }
    return text;
}

/* Results of optional nodes may be missing, so templates refer to them less often than tests. */
static slice_t make_template(maker_t *self)
{
    random_source_t *dice = self->dice;
    buffer_clear(&self->input);
    if (random_chance(dice, 400)) {
        return (slice_t){0};
    }
    char path[64];
    char text[65] = "$";
    if (random_chance(dice, 850)) {
        snprintf(text + 1, 64, "%s",
                 self->items > 0 && random_chance(dice, 500) ? "item" : "input.a");
    } else {
        snprintf(text + 1, 64, "%s", some_path(self, path));
    }
    put_head(&self->input, 0x84);
    put_text(&self->input, "a");
    put_text(&self->input, text);
    put_text(&self->input, "key");
    put_text(&self->input, "$input.key");
    put_text(&self->input, "list");
    put_text(&self->input, "$input.list");
    put_text(&self->input, "$$");
    put_number(&self->input, self->count);
    return buffer_slice(&self->input);
}

static slice_t make_test(maker_t *self, const char *path)
{
    random_source_t *dice = self->dice;
    saga_test_t test = {.path = slice_text(path), .operator= 1 + random_below(dice, 8)};
    buffer_clear(&self->operand);
    if (test.operator<= VALUE_AT_LEAST) {
        put_number(&self->operand, random_below(dice, VALUES_MAX));
        test.operand = buffer_slice(&self->operand);
    }
    buffer_clear(&self->test);
    codec_encode(saga_test_wire(), &test, &self->test);
    return buffer_slice(&self->test);
}

static slice_t make_retry(maker_t *self, uint64_t attempts_max)
{
    random_source_t *dice = self->dice;
    buffer_t words = {0};
    codec_list_writer_t list = codec_list_begin(&words);
    codec_list_add(&list, saga_word_wire(), &(saga_word_t){.word = slice_text("FATAL")});
    codec_list_end(&list);
    saga_retry_t retry = {.initial_ms = (uint64_t)random_between(dice, 1, 12),
                          .factor_percent = (uint64_t)random_between(dice, 100, 300),
                          .attempts_max = (uint64_t)random_between(dice, 1, (int64_t)attempts_max),
                          .jitter_percent = (uint64_t)random_between(dice, 1, 100),
                          .final = random_chance(dice, 500) ? buffer_slice(&words) : (slice_t){0}};
    retry.max_ms = retry.initial_ms + random_below(dice, 40);
    buffer_clear(&self->retry);
    codec_encode(saga_retry_wire(), &retry, &self->retry);
    buffer_fini(&words);
    return buffer_slice(&self->retry);
}

/* --- nodes ----------------------------------------------------------------------------------- */

/* Returns the index plus 1, which its children have as `parent`. */
static uint64_t add(maker_t *self, const saga_node_t *node)
{
    codec_list_add(&self->list, saga_node_wire(), node);
    self->budget--;
    return ++self->count;
}

static slice_t new_name(maker_t *self, uint32_t *ret_number)
{
    *ret_number = ++self->name_last;
    snprintf(self->text[0], sizeof self->text[0], "n%u", *ret_number);
    return slice_text(self->text[0]);
}

static void know(maker_t *self, uint32_t number)
{
    if (self->name_count < NAMES_MAX) {
        self->names[self->name_count++] = number;
    }
}

static plan_class_t make_class(maker_t *self)
{
    random_source_t *dice = self->dice;
    if (random_chance(dice, 120)) {
        return PLAN_READ;
    }
    if (self->behind) {
        return PLAN_RETRIABLE;
    }
    if (self->unordered == 0 && random_chance(dice, 110)) {
        self->behind = true;
        return random_chance(dice, 850) ? PLAN_PIVOT : PLAN_RETRIABLE;
    }
    return PLAN_COMPENSATABLE;
}

static uint64_t number_of_action(const maker_t *self)
{
    return random_below(self->dice, WORLD_ACTIONS);
}

static void fill_action(maker_t *self, saga_node_t *node)
{
    random_source_t *dice = self->dice;
    node->class = make_class(self);
    snprintf(self->text[1], 64, "p%u",
             (unsigned)random_below(dice, self->world->participant_count));
    snprintf(self->text[2], 64, "act%u", (unsigned)number_of_action(self));
    snprintf(self->text[3], 64, "undo%u", (unsigned)number_of_action(self));
    if (node->kind == PLAN_STEP || node->class == PLAN_COMPENSATABLE) {
        node->participant = slice_text(self->text[1]);
    }
    node->action = node->kind == PLAN_STEP ? slice_text(self->text[2]) : (slice_t){0};
    if (node->class == PLAN_COMPENSATABLE) {
        node->compensation = slice_text(self->text[3]);
    }
    node->input = make_template(self);
    bool forward_only = node->class == PLAN_RETRIABLE || node->class == PLAN_PIVOT;
    node->retry = make_retry(self, forward_only ? 8 : 5);
    node->attempt_timeout_ms = (uint64_t)random_between(dice, 3, 40);
    if (node->kind == PLAN_STEP && random_chance(dice, 250)) {
        node->step_timeout_ms = (uint64_t)random_between(dice, 10, 150);
    }
}

/* Further versions of a definition are no children: they might wait for a lock of their parents. */
static uint32_t last_child(const maker_t *self)
{
    return self->world->definition_count - self->world->late_definitions - 1;
}

static void make_action(maker_t *self, uint64_t parent, bool child)
{
    uint32_t number;
    saga_node_t node = {.kind = child ? PLAN_CHILD : PLAN_STEP, .parent = parent};
    node.name = new_name(self, &number);
    if (child) {
        uint64_t later = self->index + 1 + random_below(self->dice, last_child(self) - self->index);
        node.definition = slice_text(self->world->definitions[later].name);
        node.version = random_below(self->dice, 2);
    }
    fill_action(self, &node);
    add(self, &node);
    know(self, number);
}

static void make_sleep(maker_t *self, uint64_t parent)
{
    add(self, &(saga_node_t){.kind = PLAN_SLEEP,
                             .parent = parent,
                             .sleep_ms = (uint64_t)random_between(self->dice, 1, 60)});
}

/* Children in a list of their own; what they pass is told in `behind`. False: it ends the saga. */
static bool make_branch(maker_t *self, uint64_t parent, uint32_t depth, bool *behind)
{
    bool before = self->behind;
    uint32_t names = self->name_count;
    bool goes_on = true;
    if (self->unordered == 0 && random_chance(self->dice, 120)) {
        snprintf(self->text[1], 64, "end%u", (unsigned)random_below(self->dice, 3));
        add(self, &(saga_node_t){.kind = PLAN_END,
                                 .parent = parent,
                                 .outcome = slice_text(self->text[1]),
                                 .undo = !self->behind && random_chance(self->dice, 500)});
        goes_on = false;
    } else if (random_chance(self->dice, 900)) {
        goes_on = make_children(self, parent, depth);
    }
    *behind = *behind || (goes_on && self->behind);
    self->behind = before;
    self->name_count = names;
    return goes_on;
}

static bool make_choice(maker_t *self, uint64_t parent, uint32_t depth)
{
    uint64_t choice = add(self, &(saga_node_t){.kind = PLAN_CHOICE, .parent = parent});
    uint32_t branches = (uint32_t)random_between(self->dice, 1, 3);
    bool behind = self->behind;
    bool otherwise = random_chance(self->dice, 500);
    bool goes_on = !otherwise;
    char path[64];
    for (uint32_t i = 0; i < branches; i++) {
        bool tested = i + 1 < branches || !otherwise;
        uint64_t branch =
            add(self, &(saga_node_t){.kind = PLAN_BRANCH,
                                     .parent = choice,
                                     .test = tested ? make_test(self, some_path(self, path))
                                                    : (slice_t){0}});
        goes_on = make_branch(self, branch, depth + 1, &behind) || goes_on;
    }
    self->behind = behind;
    return goes_on;
}

static saga_node_t make_source(maker_t *self, uint64_t await, uint32_t index, bool last)
{
    random_source_t *dice = self->dice;
    saga_node_t node = {.kind = PLAN_BRANCH, .parent = await, .source = PLAN_SIGNAL};
    if (last) {
        node.source = PLAN_TIMEOUT;
        node.sleep_ms = (uint64_t)random_between(dice, 5, 150);
    } else if (self->event_key && random_chance(dice, 500)) {
        node.source = PLAN_EVENT;
        node.topic = world_topic((uint32_t)random_below(dice, WORLD_TOPICS));
        node.test = random_chance(dice, 500) ? make_test(self, "event.a") : (slice_t){0};
    } else {
        snprintf(self->text[1], 64, "s%u", index);
        node.signal = slice_text(self->text[1]);
    }
    return node;
}

static bool make_await(maker_t *self, uint64_t parent, uint32_t depth)
{
    uint32_t number;
    uint64_t await =
        add(self,
            &(saga_node_t){.kind = PLAN_AWAIT, .parent = parent, .name = new_name(self, &number)});
    uint32_t branches = (uint32_t)random_between(self->dice, 2, 3);
    bool behind = self->behind;
    bool goes_on = false;
    for (uint32_t i = 0; i < branches; i++) {
        saga_node_t node = make_source(self, await, i, i + 1 == branches);
        uint64_t branch = add(self, &node);
        goes_on = make_branch(self, branch, depth + 1, &behind) || goes_on;
    }
    self->behind = behind;
    return goes_on;
}

/* What is in it has no order: either all of it is behind the point, or none of it passes it. */
static void make_unordered(maker_t *self, plan_kind_t kind, uint64_t parent, uint32_t depth)
{
    random_source_t *dice = self->dice;
    uint32_t number;
    uint32_t names = self->name_count;
    saga_node_t node = {.kind = kind, .parent = parent};
    char path[64];
    if (kind == PLAN_LOOP) {
        node.test = make_test(self, some_path(self, path));
        node.count_max = (uint64_t)random_between(dice, 1, 3);
    } else if (kind == PLAN_EACH) {
        node.name = new_name(self, &number);
        node.list = slice_text(random_chance(dice, 950) ? "input.list" : "input.maybe");
        node.count_max = random_chance(dice, 900) ? 4 : 2;
        node.needed = random_chance(dice, 500) ? (uint64_t)random_between(dice, 1, 2) : 0;
        node.width_max = (uint64_t)random_between(dice, 1, 4);
    }
    uint64_t index = add(self, &node);
    self->behind = self->behind || (self->unordered == 0 && random_chance(dice, 60));
    self->unordered++;
    self->items += kind == PLAN_EACH;
    if (kind == PLAN_PARALLEL) {
        uint64_t count = (uint64_t)random_between(dice, 2, 3);
        for (uint64_t i = 0; i < count; i++) {
            self->name_count = names;
            uint64_t sequence = add(self, &(saga_node_t){.kind = PLAN_SEQUENCE, .parent = index});
            make_children(self, sequence, depth + 2);
        }
    } else {
        make_children(self, index, depth + 1);
    }
    self->items -= kind == PLAN_EACH;
    self->unordered--;
    self->name_count = names;
}

/* False: it ends the saga. */
static bool make_node(maker_t *self, uint64_t parent, uint32_t depth)
{
    random_source_t *dice = self->dice;
    uint32_t kind = (uint32_t)random_below(dice, 100);
    bool deep = depth >= DEPTH_MAX || self->budget < 4;
    if (deep || kind < 55) {
        bool child = !deep && kind < 6 && self->index < last_child(self);
        make_action(self, parent, child);
    } else if (kind < 63) {
        make_sleep(self, parent);
    } else if (kind < 72) {
        return make_choice(self, parent, depth + 1);
    } else if (kind < 80) {
        return make_await(self, parent, depth + 1);
    } else {
        plan_kind_t kinds[] = {PLAN_PARALLEL, PLAN_LOOP, PLAN_EACH};
        make_unordered(self, kinds[random_below(dice, 3)], parent, depth + 1);
    }
    return true;
}

static bool make_children(maker_t *self, uint64_t parent, uint32_t depth)
{
    uint64_t count = (uint64_t)random_between(self->dice, 1, depth == 0 ? 6 : 3);
    bool goes_on = true;
    for (uint64_t i = 0; i < count && goes_on && (i == 0 || self->budget > 0); i++) {
        goes_on = make_node(self, parent, depth);
    }
    return goes_on;
}

/* --- definitions ----------------------------------------------------------------------------- */

static saga_definition_t make_whole(maker_t *self, const sim_definition_t *definition)
{
    random_source_t *dice = self->dice;
    bool key = random_chance(dice, 700);
    saga_definition_t record = {
        .name = slice_text(definition->name),
        .version = definition->version,
        .deadline_ms = random_chance(dice, 500) ? (uint64_t)random_between(dice, 60, 1500) : 0,
        .undo_order = random_chance(dice, 200) ? PLAN_UNDO_PARALLEL : 0,
        .undo_deadline_ms = random_chance(dice, 250) ? (uint64_t)random_between(dice, 60, 900) : 0,
        .key = key ? slice_text("input.key") : (slice_t){0},
        .lock = key && random_chance(dice, 250),
        .waiting_max = random_chance(dice, 150) ? (uint64_t)random_between(dice, 1, 5) : 0,
        .running_max = random_chance(dice, 150) ? (uint64_t)random_between(dice, 1, 4) : 0,
        .starts_per_minute =
            random_chance(dice, 100) ? (uint64_t)random_between(dice, 600, 3000) : 0,
        .priority = random_chance(dice, 300) ? (uint64_t)random_between(dice, 1, 9) : 0,
        .outcome = random_chance(dice, 300) ? slice_text("well") : (slice_t){0},
    };
    if (random_chance(dice, 250)) {
        record.start_topic = world_topic((uint32_t)random_below(dice, WORLD_TOPICS));
        record.start_test = random_chance(dice, 600) ? make_test(self, "event.a") : (slice_t){0};
    } else if (!key && random_chance(dice, 250)) {
        record.schedule = slice_text("* * * * *");
    }
    self->event_key = key || record.start_topic.size > 0;
    return record;
}

static void make_definition(world_t *world, uint32_t index)
{
    sim_definition_t *definition = &world->definitions[index];
    maker_t maker = {.world = world,
                     .dice = &world->dice,
                     .index = index,
                     .budget = random_between(&world->dice, 2, 24)};
    saga_definition_t record = make_whole(&maker, definition);
    buffer_t start_test = {0};
    buffer_append(&start_test, record.start_test.data, record.start_test.size);
    record.start_test = buffer_slice(&start_test);
    maker.list = codec_list_begin(&maker.nodes);
    uint64_t root = add(&maker, &(saga_node_t){.kind = PLAN_SEQUENCE});
    make_children(&maker, root, 0);
    codec_list_end(&maker.list);
    record.nodes = buffer_slice(&maker.nodes);
    record.undo_retry = make_retry(&maker, random_chance(&world->dice, 400) ? 2 : 8);
    codec_encode(saga_definition_wire(), &record, &definition->record);
    plan_fault_t fault = {0};
    if (plan_read(buffer_slice(&definition->record), &definition->plan, &fault) != CAPSTAN_OK) {
        ensure_failed(fault.text, __FILE__, __LINE__);
    }
    buffer_fini(&start_test);
    buffer_fini(&maker.nodes);
    buffer_fini(&maker.input);
    buffer_fini(&maker.retry);
    buffer_fini(&maker.test);
    buffer_fini(&maker.operand);
}

void plans_make(world_t *self)
{
    self->definition_count = (uint32_t)random_between(&self->dice, 5, WORLD_DEFINITIONS_MAX - 1);
    self->late_definitions = (uint32_t)random_below(&self->dice, 3);
    for (uint32_t i = 0; i < self->definition_count; i++) {
        sim_definition_t *definition = &self->definitions[i];
        bool again = i > 0 && i + self->late_definitions >= self->definition_count;
        uint32_t name = again ? (uint32_t)random_below(&self->dice, i) : i;
        snprintf(definition->name, sizeof definition->name, "%s",
                 again ? self->definitions[name].name : "");
        if (!again) {
            snprintf(definition->name, sizeof definition->name, "d%u", i);
        }
        definition->version = 1;
        for (uint32_t k = 0; k < i; k++) {
            definition->version += strcmp(self->definitions[k].name, definition->name) == 0;
        }
    }
    for (uint32_t i = 0; i < self->definition_count; i++) {
        make_definition(self, i);
    }
}
