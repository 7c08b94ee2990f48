/*
 * pb.h - private to common/wire: generated protobuf names and the budgeted unpack. Include it only from
 * this folder's codec files. Thread: any; one arena each.
 */
#ifndef XF_WIRE_PB_H
#define XF_WIRE_PB_H

#include "base/arena.h"

#include "xf.pb-c.h"

/* Unpacks into the arena; NULL when malformed or over the arena's budget. Counts unknown fields.
   @own arena */
ProtobufCMessage *xf_pb_unpack(const ProtobufCMessageDescriptor *desc, struct xf_arena *arena,
                               const uint8_t *p, size_t len);

#endif
