/* What can be set for a topic: one table, and the pure code that reads, checks, stores and shows
 * it.
 *
 *   topic_change_t change = {0};
 *   err = topic_change_add(&change, name, value, text);
 *   topic_settings_t after = topic_change_apply(&before, &change);
 *   err = topic_settings_may_become(&before, &after, false, text);
 *
 *   topic_change_fini(&change);
 *   topic_settings_fini(&after);
 *
 * Functions that take a `text` say in it what is wrong, where, and what is allowed, when they
 * return an error. */
#ifndef ORDERING_TOPIC_SETTINGS_H
#define ORDERING_TOPIC_SETTINGS_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/json_writer.h"

enum { TOPIC_TEXT_BYTES = 384 };

enum {
    DURABILITY_STORED = 1,
    DURABILITY_ACCEPTED = 2,
};

#define TOPIC_UINT_MEMBER   uint64_t
#define TOPIC_CHOICE_MEMBER uint64_t /* the place of its word, from 1 */
#define TOPIC_TEXT_MEMBER   buffer_t

/* Its texts are its own: what is made with topic_settings_copy or topic_change_apply is freed with
 * topic_settings_fini. A zeroed text is empty. */
typedef struct topic_settings {
#define TOPIC_SETTING(name, type, unit, minimum, maximum, initial, where, change, meaning)         \
    TOPIC_##type##_MEMBER name;
#include "actors/ordering/topic_settings.def"
#undef TOPIC_SETTING
} topic_settings_t;

typedef enum topic_setting_type { TOPIC_UINT, TOPIC_CHOICE, TOPIC_TEXT } topic_setting_type_t;
typedef enum topic_setting_where { TOPIC_ANY, TOPIC_PRODUCER, TOPIC_ARRIVAL } topic_setting_where_t;
typedef enum topic_setting_change {
    TOPIC_FIXED,
    TOPIC_FREE,
    TOPIC_ALONE,
    TOPIC_LOWER_LOSES,
    TOPIC_RAISE_LOSES,
} topic_setting_change_t;

typedef struct topic_setting_row {
    const char *name;
    topic_setting_type_t type;
    const char *unit; /* of a choice: its words */
    uint64_t minimum;
    uint64_t maximum;
    uint64_t initial;
    topic_setting_where_t where;
    topic_setting_change_t change;
    const char *meaning;
    size_t offset; /* in topic_settings_t */
} topic_setting_row_t;

const topic_setting_row_t *topic_setting_rows(size_t *ret_count);

/* The word of a choice; empty: it has no such number. */
slice_t topic_setting_word(const topic_setting_row_t *row, uint64_t number);

/* Some of the settings, with texts of their own. A zeroed one has none. */
typedef struct topic_change {
    topic_settings_t values;
    uint32_t given; /* bit per row */
} topic_change_t;

void topic_change_fini(topic_change_t *self);

topic_settings_t topic_settings_initial(void);
topic_settings_t topic_settings_copy(const topic_settings_t *self);
void topic_settings_fini(topic_settings_t *self);

/* As people write it. INVALID: no such name, no such value. The change is still to be freed. */
CAPSTAN_MUST_CHECK capstan_err_t topic_change_add(topic_change_t *self, slice_t name, slice_t value,
                                                  char text[TOPIC_TEXT_BYTES]);
/* A choice by its number. INVALID. The name is one of the table. */
CAPSTAN_MUST_CHECK capstan_err_t topic_change_set(topic_change_t *self, const char *name,
                                                  uint64_t value, char text[TOPIC_TEXT_BYTES]);
/* A LIST of topic_setting. INVALID, MALFORMED. */
CAPSTAN_MUST_CHECK capstan_err_t topic_change_decode(topic_change_t *self, slice_t list,
                                                     char text[TOPIC_TEXT_BYTES]);
topic_settings_t topic_change_apply(const topic_settings_t *before, const topic_change_t *change);
/* It is the only setting that is given. */
bool topic_change_is_only(const topic_change_t *change, const char *name);
/* The name of the first that is given and has another value; NULL: none. */
const char *topic_change_differs(const topic_settings_t *settings, const topic_change_t *change);

/* Whether they go together. INVALID, SCHEMA_INVALID. */
CAPSTAN_MUST_CHECK capstan_err_t topic_settings_check(const topic_settings_t *self,
                                                      char text[TOPIC_TEXT_BYTES]);
/* Whether a topic that exists may be given these at once. SETTING_FIXED; LOSES_DATA, unless by
 * force; INVALID, of a setting too that is changed alone; SCHEMA_INVALID. */
CAPSTAN_MUST_CHECK capstan_err_t topic_settings_may_become(const topic_settings_t *before,
                                                           const topic_settings_t *after,
                                                           bool force, char text[TOPIC_TEXT_BYTES]);

/* Whether ids are remembered for as long as senders go on to send an event again.
 * ID_WINDOW_SHORT. */
CAPSTAN_MUST_CHECK capstan_err_t topic_settings_check_window(const topic_settings_t *self,
                                                             uint64_t retry_horizon_ms,
                                                             char text[TOPIC_TEXT_BYTES]);

/* All of them, as a LIST of topic_setting. */
void topic_settings_encode(const topic_settings_t *self, buffer_t *out);
/* As an object. */
void topic_settings_describe(const topic_settings_t *self, json_writer_t *json);

#endif
