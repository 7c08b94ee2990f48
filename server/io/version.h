/*
 * version.h - what this coordinator calls itself in the ledger and on --version.
 * Not for: the protocol's version (wire/msg.h). Owner: constant text. Thread: any.
 */
#ifndef XF_SERVER_IO_VERSION_H
#define XF_SERVER_IO_VERSION_H

#define SRV_SOFTWARE "crossfed-server 0.1.0"

#endif
