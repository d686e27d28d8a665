#include "tests/integration/runtime/log_kit.h"

#include "runtime/telemetry/log.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

FILE *log_kit_open(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    log_redirect(ends[1], LOG_FORMAT_JSON);
    FILE *log = fdopen(ends[0], "r");
    cr_assert_not_null(log);
    return log;
}

json_t *log_kit_next(FILE *log, const char *event)
{
    char text[LOG_LINE_BYTES_MAX + 1];
    for (;;) {
        cr_assert_not_null(fgets(text, sizeof text, log));
        json_t *line = json_loads(text, 0, NULL);
        cr_assert_not_null(line, "%s", text);
        if (strcmp(log_kit_text(line, "event"), event) == 0) {
            return line;
        }
        json_decref(line);
    }
}

const char *log_kit_text(const json_t *line, const char *field)
{
    const char *text = json_string_value(json_object_get(line, field));
    return text ? text : "";
}
