/* Pages that `capstan help PAGE` prints: the same text as in docs/, from the same tables. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdbool.h>
#include <stdio.h>

/* One line per page. */
void help_list(FILE *out);
/* False when there is no such page. */
bool help_print(const char *page, FILE *out);

#endif
