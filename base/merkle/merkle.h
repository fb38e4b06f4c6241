/* merkle: one word for many messages. A tree of hashes over them has one root; who has a message
 * and the hashes beside its way up, its path, comes to that root, and with nothing else.
 *
 * The tree is that of RFC 9162 (Certificate Transparency), 2.1: leaves begin with 0, inner nodes
 * with 1, so that none is taken for the other; the left half is the largest power of two below the
 * size. One signature over the root of answers to many is as in Roughtime. The hash is BLAKE2b-256.
 *
 *   leaf = H(0 || salt || digest of the message)      node = H(1 || left || right)
 *
 * Paths hold the hashes of others' leaves: the salt, which goes only to the leaf's owner, is why
 * nobody can try out what was said to whom. Pure; no memory of its own. */
#ifndef SL_BASE_MERKLE_H
#define SL_BASE_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes/bytes.h"
#include "base/crypto/crypto.h"

enum {
	MERKLE_SALT_BYTES = 16,
	MERKLE_LEAVES_MAX = 256,
	MERKLE_DEPTH_MAX = 8,
	MERKLE_PATH_MAX = MERKLE_DEPTH_MAX * SL_HASH_BYTES,
};

/* Hashes that a tree of so many leaves has room in: the leaves first. */
#define MERKLE_NODES(leaves) (2 * (leaves) + MERKLE_DEPTH_MAX)

void merkle_leaf(const uint8_t salt[static MERKLE_SALT_BYTES],
		 const uint8_t digest[static SL_HASH_BYTES], uint8_t out[static SL_HASH_BYTES]);

/* The root over nodes[0..size), 1 to MERKLE_LEAVES_MAX leaves; fills the rest of
 * MERKLE_NODES(size).
 */
void merkle_root(uint8_t (*nodes)[SL_HASH_BYTES], size_t size, uint8_t root[static SL_HASH_BYTES]);

/* Of a leaf in a tree that merkle_root() has filled: hashes from the leaf's neighbour up. Returns
 * their bytes; 0 in a tree of one. */
size_t merkle_path(uint8_t (*nodes)[SL_HASH_BYTES], size_t size, size_t index,
		   uint8_t out[static MERKLE_PATH_MAX]);

/* The root that the path leads to. False: there is no such path, of no leaf in no tree: each leaf
 * has one length. */
bool merkle_climb(const uint8_t leaf[static SL_HASH_BYTES], uint32_t index, uint32_t size,
		  struct sl_bytes path, uint8_t root[static SL_HASH_BYTES]);

#endif
