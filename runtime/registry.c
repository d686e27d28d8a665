#include "runtime/registry.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime_messages.h"
#include "runtime/wire/wire_messages.h"

#include <stdarg.h>
#include <stdlib.h>

typedef struct report {
    char *text;
    size_t size;
} report_t;

__attribute__((format(printf, 3, 4))) static capstan_err_t say(report_t report, capstan_err_t err,
                                                               const char *format, ...)
{
    if (report.text) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(report.text, report.size, format, arguments);
        va_end(arguments);
    }
    return err;
}

void registry_init(registry_t *self)
{
    *self = (registry_t){0};
    pthread_mutex_init(&self->mutex, NULL);
}

void registry_fini(registry_t *self)
{
    free(self->tables);
    pthread_mutex_destroy(&self->mutex);
}

/* What a row must not meet in the first `below` rows of a table, its own or another one. */
static capstan_err_t check_clash(const wire_record_t *row, const wire_table_t *other, size_t below,
                                 report_t report)
{
    for (size_t i = 0; i < other->count && i < below; i++) {
        const wire_record_t *same = other->records[i]();
        if (same->id == row->id) {
            return say(report, CAPSTAN_E_EXISTS,
                       "%s: id 0x%x is that of %s in table %s: take a free one", row->name, row->id,
                       same->name, other->concern);
        }
        if (strcmp(same->name, row->name) == 0) {
            return say(report, CAPSTAN_E_EXISTS,
                       "%s: table %s has a row of that name: take another one", row->name,
                       other->concern);
        }
    }
    return CAPSTAN_OK;
}

static bool has_row(const wire_table_t *table, const wire_record_t *record)
{
    size_t i = 0;
    while (i < table->count && table->records[i]() != record) {
        i++;
    }
    return i < table->count;
}

static bool is_known(const wire_record_t *record, const wire_table_t *table, table_list_t others)
{
    bool known = has_row(table, record);
    for (size_t i = 0; i < others.count && !known; i++) {
        known = has_row(others.tables[i], record);
    }
    return known && record->kind == CAPSTAN_KIND_RECORD;
}

static capstan_err_t check_lists(const wire_record_t *row, const wire_table_t *table,
                                 table_list_t others, report_t report)
{
    for (size_t i = 0; i < row->field_count; i++) {
        const wire_field_t *field = &row->fields[i];
        if (field->record && !is_known(field->record(), table, others)) {
            return say(report, CAPSTAN_E_INVALID,
                       "%s: field %s lists what is no RECORD of this or a registered table",
                       row->name, field->name);
        }
    }
    return CAPSTAN_OK;
}

static capstan_err_t check_row(const wire_table_t *table, size_t index, table_list_t others,
                               report_t report)
{
    const wire_record_t *row = table->records[index]();
    const char *name = row->name ? row->name : "a row";
    if (row->wrong) {
        return say(report, CAPSTAN_E_INVALID, "%s: %s", name, row->wrong);
    }
    if (row->id < CAPSTAN_USER_ID_MIN) {
        return say(report, CAPSTAN_E_INVALID,
                   "%s: id 0x%x is one of Capstan's own: take one from 0x%x up", name, row->id,
                   CAPSTAN_USER_ID_MIN);
    }
    if (row->kind == CAPSTAN_KIND_ERROR) {
        return say(report, CAPSTAN_E_INVALID,
                   "%s: kind ERROR is for Capstan's own failure: answer with capstan_reply_error",
                   name);
    }
    capstan_err_t err = check_clash(row, table, index, report);
    for (size_t i = 0; i < others.count && !err; i++) {
        err = check_clash(row, others.tables[i], SIZE_MAX, report);
    }
    return err ? err : check_lists(row, table, others, report);
}

static capstan_err_t check_table(const wire_table_t *table, table_list_t others, report_t report)
{
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; i < others.count; i++) {
        if (strcmp(others.tables[i]->concern, table->concern) == 0) {
            return say(report, CAPSTAN_E_EXISTS, "table %s: a table of that name exists",
                       table->concern);
        }
    }
    for (size_t i = 0; i < table->count && !err; i++) {
        err = check_row(table, i, others, report);
    }
    return err;
}

/* The mutex is held. */
static const wire_table_t **list_all(const registry_t *self, table_list_t built_in)
{
    const wire_table_t **all = calloc(built_in.count + self->count + 1, sizeof *all);
    ENSURE(all);
    for (size_t i = 0; i < built_in.count; i++) {
        all[i] = built_in.tables[i];
    }
    for (size_t i = 0; i < self->count; i++) {
        all[built_in.count + i] = self->tables[i];
    }
    return all;
}

capstan_err_t registry_add(registry_t *self, const wire_table_t *table, table_list_t built_in,
                           char *ret_text, size_t text_size)
{
    pthread_mutex_lock(&self->mutex);
    const wire_table_t **others = list_all(self, built_in);
    capstan_err_t err = check_table(table, (table_list_t){others, built_in.count + self->count},
                                    (report_t){ret_text, text_size});
    free(others);
    if (!err) {
        self->tables = realloc(self->tables, (self->count + 1) * sizeof *self->tables);
        ENSURE(self->tables);
        self->tables[self->count++] = table;
    }
    pthread_mutex_unlock(&self->mutex);
    return err;
}

void registry_know(registry_t *self, table_list_t built_in)
{
    pthread_mutex_lock(&self->mutex);
    self->built_in = built_in;
    pthread_mutex_unlock(&self->mutex);
}

table_list_t registry_built_in(registry_t *self)
{
    pthread_mutex_lock(&self->mutex);
    table_list_t built_in = self->built_in;
    pthread_mutex_unlock(&self->mutex);
    return built_in;
}

static const char *find_name(table_list_t list, uint32_t message)
{
    for (size_t i = 0; i < list.count; i++) {
        for (size_t k = 0; k < list.tables[i]->count; k++) {
            const wire_record_t *row = list.tables[i]->records[k]();
            if (row->kind != CAPSTAN_KIND_RECORD && row->id == message) {
                return row->name;
            }
        }
    }
    return NULL;
}

const char *registry_name(registry_t *self, uint32_t message)
{
    static const wire_table_t *const own[] = {&wire_table, &runtime_table};
    if (message == 0) {
        return NULL; /* records have no number */
    }
    pthread_mutex_lock(&self->mutex);
    const char *name = find_name((table_list_t){own, sizeof own / sizeof own[0]}, message);
    name = name ? name : find_name(self->built_in, message);
    name = name ? name : find_name((table_list_t){self->tables, self->count}, message);
    pthread_mutex_unlock(&self->mutex);
    return name;
}

size_t registry_count(registry_t *self)
{
    pthread_mutex_lock(&self->mutex);
    size_t count = self->count;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

const wire_table_t **registry_all(registry_t *self, table_list_t built_in, size_t *ret_count)
{
    pthread_mutex_lock(&self->mutex);
    const wire_table_t **all = list_all(self, built_in);
    *ret_count = built_in.count + self->count;
    pthread_mutex_unlock(&self->mutex);
    return all;
}
