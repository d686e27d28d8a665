/* Pages that `capstan help PAGE` prints: the same text as in docs/, from the same tables. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdbool.h>
#include <stdio.h>

/* The names of the pages, and what each is about. */
size_t help_page_count(void);
const char *help_page(size_t index, const char **ret_summary);
/* One line per page. */
void help_list(FILE *out);
/* False when there is no such page. */
bool help_print(const char *page, FILE *out);

#endif
