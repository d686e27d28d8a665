#include "cli/saga_filter.h"

#include "actors/saga/saga_messages.h"
#include "cli/saga_time.h"
#include "cli/saga_words.h"

#include <string.h>

static slice_t text_of(const char *text)
{
    return text ? slice_text(text) : (slice_t){0};
}

static int take_state(const command_line_t *line, const char *state, saga_filter_t *filter)
{
    filter->state = state ? saga_state_number(state) : 0;
    if (state && filter->state == 0) {
        return options_wrong(line,
                             "--state: \"%s\" is none of WAITING, RUNNING, COMPENSATING, "
                             "COMPLETED, COMPENSATED, PARKED, CANCELLED",
                             state);
    }
    return OPTIONS_RUN;
}

static int take_attribute(const command_line_t *line, const char *attribute, saga_filter_t *filter)
{
    const char *equals = attribute ? strchr(attribute, '=') : NULL;
    if (attribute && (!equals || equals == attribute)) {
        return options_wrong(line, "--attribute wants NAME=VALUE, not \"%s\"", attribute);
    }
    if (attribute) {
        filter->attribute = slice_of(attribute, (size_t)(equals - attribute));
        filter->value = slice_text(equals + 1);
    }
    return OPTIONS_RUN;
}

static int take_time(const command_line_t *line, const char *name, const char *text, int64_t now_us,
                     int64_t *ret_us)
{
    const char *wrong = text ? saga_time_parse(text, now_us, ret_us) : NULL;
    return wrong ? options_wrong(line, "--%s: \"%s\" is %s", name, text, wrong) : OPTIONS_RUN;
}

int saga_filter_encode(const command_line_t *line, const saga_filter_options_t *chosen,
                       int64_t now_us, buffer_t *out)
{
    saga_filter_t filter = {.outcome = text_of(chosen->outcome),
                            .definition = text_of(chosen->definition),
                            .version = chosen->version,
                            .key = text_of(chosen->key)};
    bool any = chosen->state || chosen->outcome || chosen->definition || chosen->key ||
               chosen->attribute || chosen->since || chosen->until;
    if (chosen->version > 0 && !chosen->definition) {
        return options_wrong(line, "--version wants --definition too");
    }
    int status = take_state(line, chosen->state, &filter);
    if (status == OPTIONS_RUN) {
        status = take_attribute(line, chosen->attribute, &filter);
    }
    if (status == OPTIONS_RUN) {
        status = take_time(line, "since", chosen->since, now_us, &filter.since_us);
    }
    if (status == OPTIONS_RUN) {
        status = take_time(line, "until", chosen->until, now_us, &filter.until_us);
    }
    if (status == OPTIONS_RUN && any) {
        codec_encode(saga_filter_wire(), &filter, out);
    }
    return status;
}
