/* Definitions as people write them. What is accepted is a record that can be read, written again
 * and says the same; what is refused is so with its file and a line, and appends nothing. */
#include "tests/kit/plan_round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    buffer_t out = {0};
    plan_fault_t fault = {0};
    if (definition_from_yaml(slice_of(data, size), "file", &out, &fault)) {
        ENSURE(out.size == 0 && fault.line > 0);
        ENSURE(strncmp(fault.text, "file:", strlen("file:")) == 0);
    } else {
        bool survives = plan_survives(buffer_slice(&out), &fault);
        ENSURE(survives);
    }
    buffer_fini(&out);
    return 0;
}
