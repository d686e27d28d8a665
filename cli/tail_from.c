#include "cli/tail_from.h"

#include "cli/feed_time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Like strtoull, but for digits only. */
static bool read_number(const char **at, char end, uint64_t *ret_number)
{
    char *stop;
    if (**at < '0' || **at > '9') {
        return false;
    }
    errno = 0;
    *ret_number = strtoull(*at, &stop, 10);
    if (errno != 0 || *stop != end) {
        return false;
    }
    *at = stop + (end != '\0');
    return true;
}

/* NULL, or what is wrong. */
static const char *take_offset(tail_from_t *self, uint64_t partition, uint64_t offset)
{
    if (partition >= TAIL_PARTITIONS_MAX) {
        return "a topic has partitions 0 to 255 at most";
    }
    if (offset == 0) {
        return "offsets begin with 1";
    }
    if (self->named[partition]) {
        return "the partition was given before";
    }
    self->named[partition] = true;
    self->behind[partition] = offset - 1;
    return NULL;
}

static const char *take(tail_from_t *self, const char *word)
{
    static const char group[] = "group:";
    uint64_t partition;
    uint64_t offset;
    const char *at = word;
    if (read_number(&at, ':', &partition) && read_number(&at, '\0', &offset)) {
        return take_offset(self, partition, offset);
    }
    if (self->from != 0) {
        return "only places of partitions, P:N, may be given together with another one";
    }
    if (strcmp(word, "earliest") == 0) {
        self->from = 1;
    } else if (strcmp(word, "latest") == 0) {
        self->from = 2;
    } else if (strncmp(word, group, strlen(group)) == 0 && word[strlen(group)] != '\0') {
        self->from = 4;
        self->group = word + strlen(group);
    } else if (feed_time_parse(slice_text(word), &self->time_us) == NULL) {
        self->from = 3;
    } else {
        return "earliest, latest, PARTITION:OFFSET (3:1500), group:NAME, or a time "
               "(2012-01-31T12:00:00Z)";
    }
    return NULL;
}

bool tail_from_parse(const option_list_t *given, tail_from_t *ret_from, char *ret_text,
                     size_t text_size)
{
    tail_from_t from = {0};
    for (size_t i = 0; i < given->count; i++) {
        const char *wrong = take(&from, given->items[i]);
        if (wrong) {
            snprintf(ret_text, text_size, "--from %s: %s", given->items[i], wrong);
            return false;
        }
    }
    from.from = from.from > 0 ? from.from : 1;
    *ret_from = from;
    return true;
}
