/* descriptors: the whole API as a serialized google.protobuf.FileDescriptorSet,
 * imports included, each file after those that it imports. For reflection. */
#ifndef SL_PROTO_DESCRIPTORS_H
#define SL_PROTO_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t sluice_descriptors[];
extern const size_t sluice_descriptors_size;

#endif
