/* What one check has found. */
#include "cli/doctor.h"

#include "runtime/base/ensure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((format(printf, 3, 0))) static void add(buffer_t *text, const char *between,
                                                      const char *format, va_list arguments)
{
    char *piece = NULL;
    int size = vasprintf(&piece, format, arguments);
    ENSURE(size >= 0);
    if (text->size > 0) {
        buffer_append(text, between, strlen(between));
    }
    buffer_append(text, piece, (size_t)size);
    free(piece);
}

void doctor_say(doctor_check_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(&self->found, "; ", format, arguments);
    va_end(arguments);
}

void doctor_blame(doctor_check_t *self, doctor_verdict_t verdict, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(&self->found, "; ", format, arguments);
    va_end(arguments);
    self->last = verdict;
    if (verdict > self->verdict) {
        self->verdict = verdict;
        buffer_clear(&self->remedy);
    }
}

void doctor_remedy(doctor_check_t *self, const char *format, ...)
{
    if (self->last < self->verdict) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    add(&self->remedy, " ", format, arguments);
    va_end(arguments);
}

void doctor_figure(doctor_check_t *self, const char *name, double value)
{
    ENSURE(self->figure_count < DOCTOR_FIGURES_MAX);
    self->figures[self->figure_count].name = name;
    self->figures[self->figure_count++].value = value;
}

void doctor_check_fini(doctor_check_t *self)
{
    buffer_fini(&self->found);
    buffer_fini(&self->remedy);
}

const char *doctor_duration(int64_t us, char text[DOCTOR_DURATION_BYTES])
{
    static const struct {
        double us;
        double below; /* in this unit */
        int decimals;
        const char *name;
    } units[] = {
        {1, 1000, 0, "us"},  {1e3, 1000, 1, "ms"},    {1e6, 60, 1, "s"},
        {6e7, 60, 0, "min"}, {3.6e9, 48, 1, "hours"}, {8.64e10, 1e9, 1, "days"},
    };
    size_t unit = 0;
    while ((double)us >= units[unit].us * units[unit].below) {
        unit++;
    }
    snprintf(text, DOCTOR_DURATION_BYTES, "%.*f %s", units[unit].decimals,
             (double)us / units[unit].us, units[unit].name);
    return text;
}
