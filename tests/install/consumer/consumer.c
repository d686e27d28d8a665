/* A stranger's program: every public header, and a call into the library. */
#include <capstan/actor.h>
#include <capstan/error.h>
#include <capstan/node.h>
#include <capstan/ref.h>
#include <capstan/slice.h>

#include <stdio.h>

int main(void)
{
    capstan_slice_t slice = capstan_slice_text(capstan_err_name(CAPSTAN_E_TIMEOUT));
    printf("%.*s\n", (int)slice.size, (const char *)slice.data);
    return 0;
}
