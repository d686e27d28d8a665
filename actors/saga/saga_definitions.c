/* Definitions: made known, and listed. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "runtime/base/ensure.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>

enum { DEFINITIONS_BYTES = 900 << 10 }; /* of a reply: it has to fit a message of a peer */

static capstan_err_t define(saga_shell_t *self, const saga_define_t *request, bool *ret_created,
                            uint64_t *ret_version, plan_fault_t *fault)
{
    plan_t *plan;
    capstan_err_t err = plan_read(request->definition, &plan, fault);
    if (err != CAPSTAN_OK) {
        return err;
    }
    if (!slice_equal(plan->name, request->name)) {
        snprintf(fault->text, sizeof fault->text, "name: not the one in the definition");
        plan_destroy(&plan);
        return CAPSTAN_E_INVALID;
    }
    *ret_version = plan->version;
    err = coordinator_define(self->core, capstan_utc_us(self->self), plan, ret_created,
                             &self->effects);
    shell_take_effects(self);
    return err;
}

/* Whether a saga waits for a definition: then those under way are sent what they want. */
static bool has_sleepers(const saga_shell_t *self)
{
    size_t position = 0;
    const saga_t *saga;
    while ((saga = coordinator_next(self->core, &position))) {
        if (!saga_plan(saga)) {
            return true;
        }
    }
    return false;
}

static void on_created(saga_shell_t *self, const saga_define_t *request, uint64_t version,
                       bool sleepers)
{
    LOG(saga, defined, log_text("definition", request->name), log_uint("version", version));
    members_join(self);
    if (sleepers) {
        coordinator_resend(self->core, capstan_utc_us(self->self), shell_dice(self), NULL,
                           &self->effects);
        shell_take_effects(self);
    }
}

void definitions_define(saga_shell_t *self, const capstan_message_t *message)
{
    saga_define_t request;
    plan_fault_t fault = {0};
    bool created = false;
    bool sleepers = has_sleepers(self);
    uint64_t version = 0;
    capstan_err_t err = codec_decode(saga_define_wire(), message->body, &request, NULL);
    err = err ? err : define(self, &request, &created, &version, &fault);
    if (err != CAPSTAN_OK) {
        shell_refuse(self, message, err, fault.text[0] ? fault.text : NULL);
        return;
    }
    if (created) {
        on_created(self, &request, version, sleepers);
    }
    shell_reply(self, message, saga_defined_wire(),
                &(saga_defined_t){.name = request.name, .version = version, .created = created});
}

/* --- listing --------------------------------------------------------------------------------- */

static int compare_plans(const void *a, const void *b)
{
    const plan_t *first = *(const plan_t *const *)a;
    const plan_t *second = *(const plan_t *const *)b;
    size_t size = first->name.size < second->name.size ? first->name.size : second->name.size;
    int order = memcmp(first->name.data, second->name.data, size);
    if (order == 0 && first->name.size != second->name.size) {
        order = first->name.size < second->name.size ? -1 : 1;
    }
    return order != 0 ? order
                      : (first->version > second->version) - (first->version < second->version);
}

/* Those that are asked for, by name and version; to be freed. */
static const plan_t **select_plans(const saga_shell_t *self, const saga_definitions_t *request,
                                   size_t *ret_count)
{
    size_t count = 0;
    size_t all = 0;
    while (coordinator_plan_at(self->core, all)) {
        all++;
    }
    const plan_t **plans = calloc(all + 1, sizeof(const plan_t *));
    ENSURE(plans);
    for (size_t i = 0; i < all; i++) {
        const plan_t *plan = coordinator_plan_at(self->core, i);
        if ((request->name.size == 0 || slice_equal(plan->name, request->name)) &&
            (request->version == 0 || plan->version == request->version)) {
            plans[count++] = plan;
        }
    }
    if (count > 1) {
        qsort(plans, count, sizeof(const plan_t *), compare_plans);
    }
    *ret_count = count;
    return plans;
}

void definitions_list(saga_shell_t *self, const capstan_message_t *message)
{
    saga_definitions_t request;
    buffer_t bytes = {0};
    size_t count;
    capstan_err_t err = codec_decode(saga_definitions_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        shell_refuse(self, message, err, NULL);
        return;
    }
    const plan_t **plans = select_plans(self, &request, &count);
    codec_list_writer_t list = codec_list_begin(&bytes);
    for (size_t i = 0; i < count && bytes.size <= DEFINITIONS_BYTES; i++) {
        codec_list_add_raw(&list, plans[i]->record);
    }
    codec_list_end(&list);
    if (bytes.size > DEFINITIONS_BYTES) {
        shell_refuse(self, message, CAPSTAN_E_TOO_LARGE,
                     "the definitions do not fit one answer: ask for one by name and version");
    } else {
        shell_reply(self, message, saga_definition_list_wire(),
                    &(saga_definition_list_t){.definitions = buffer_slice(&bytes)});
    }
    free(plans);
    buffer_fini(&bytes);
}
