/* Marks of the public interface: what the shared library exports, and what a caller must check. */
#ifndef CAPSTAN_EXPORT_H
#define CAPSTAN_EXPORT_H

#define CAPSTAN_API        __attribute__((visibility("default")))
#define CAPSTAN_MUST_CHECK __attribute__((warn_unused_result))

#endif
