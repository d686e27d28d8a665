/* capstan saga: makes definitions known, starts sagas, shows them, and looks after them. */
#include "cli/saga.h"

#include "cli/cli.h"
#include "config/values.h"

#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} actions[] = {
#define SAGA_ACTION(name) {#name, saga_##name},
#include "cli/saga_actions.def"
#undef SAGA_ACTION
};
enum { ACTION_COUNT = sizeof actions / sizeof actions[0] };

static const command_line_t *const lines[] = {
#define SAGA_ACTION(name) &saga_##name##_line,
#include "cli/saga_actions.def"
#undef SAGA_ACTION
    NULL,
};

static const command_line_t saga_line = {
    .usage = "capstan saga ACTION [arguments] [options]",
    .summary = "Works with sagas: several steps of several participants, of which all are done, or "
               "what was\ndone is undone again. A definition says which (docs/sagas.md); each saga "
               "of it has an id.",
    .examples = "  capstan saga define order.yaml\n"
                "  capstan saga start order --id order-17 --input '{\"amount\":120}' --wait 30s\n"
                "  capstan saga show order-17\n"
                "  capstan saga list --state PARKED\n"
                "  capstan saga retry order-17\n"
                "  capstan saga start --help\n",
    .operands_min = 1,
    .operands_max = 1,
    .actions = lines,
};

static int unknown(const char *word)
{
    nearest_t nearest = nearest_to(word);
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        nearest_offer(&nearest, actions[i].name);
    }
    if (nearest.best) {
        return options_wrong(&saga_line, "there is no action '%s'; did you mean %s?", word,
                             nearest.best);
    }
    return options_wrong(&saga_line, "there is no action '%s'", word);
}

int cli_saga(int argc, char **argv)
{
    operands_t operands;
    for (size_t i = 0; argc > 1 && i < ACTION_COUNT; i++) {
        if (strcmp(argv[1], actions[i].name) == 0) {
            return actions[i].run(argc - 1, argv + 1);
        }
    }
    if (argc > 1 && argv[1][0] != '-') {
        return unknown(argv[1]);
    }
    int status = options_parse(&saga_line, argc, argv, &operands);
    return status == OPTIONS_RUN ? unknown(operands.items[0]) : status;
}
