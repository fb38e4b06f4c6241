#include "base/merkle/merkle.h"

#include <string.h>

enum { LEAF = 0, NODE = 1 };

void merkle_leaf(const uint8_t salt[static MERKLE_SALT_BYTES],
		 const uint8_t digest[static SL_HASH_BYTES], uint8_t out[static SL_HASH_BYTES])
{
	uint8_t bytes[1 + MERKLE_SALT_BYTES + SL_HASH_BYTES] = {LEAF};
	memcpy(bytes + 1, salt, MERKLE_SALT_BYTES);
	memcpy(bytes + 1 + MERKLE_SALT_BYTES, digest, SL_HASH_BYTES);
	sl_hash(out, bytes, sizeof(bytes), NULL, 0);
}

static void put_node(const uint8_t *left, const uint8_t *right, uint8_t *out)
{
	uint8_t bytes[1 + 2 * SL_HASH_BYTES] = {NODE};
	memcpy(bytes + 1, left, SL_HASH_BYTES);
	memcpy(bytes + 1 + SL_HASH_BYTES, right, SL_HASH_BYTES);
	sl_hash(out, bytes, sizeof(bytes), NULL, 0);
}

/* Level by level: what is left over at the end of one stands in the next as it is, which makes the
 * same tree as halving from above. */
static size_t level_above(size_t size)
{
	return (size + 1) / 2;
}

static bool has_neighbour(size_t index, size_t size)
{
	return (index ^ 1) < size;
}

void merkle_root(uint8_t (*nodes)[SL_HASH_BYTES], size_t size, uint8_t root[static SL_HASH_BYTES])
{
	for (; size > 1; size = level_above(size)) {
		uint8_t(*above)[SL_HASH_BYTES] = nodes + size;
		for (size_t i = 0; i + 1 < size; i += 2) {
			put_node(nodes[i], nodes[i + 1], above[i / 2]);
		}
		if (size % 2 == 1) {
			memcpy(above[size / 2], nodes[size - 1], SL_HASH_BYTES);
		}
		nodes = above;
	}
	memcpy(root, nodes[0], SL_HASH_BYTES);
}

size_t merkle_path(uint8_t (*nodes)[SL_HASH_BYTES], size_t size, size_t index,
		   uint8_t out[static MERKLE_PATH_MAX])
{
	size_t bytes = 0;
	for (; size > 1; size = level_above(size), index /= 2) {
		if (has_neighbour(index, size)) {
			memcpy(out + bytes, nodes[index ^ 1], SL_HASH_BYTES);
			bytes += SL_HASH_BYTES;
		}
		nodes += size;
	}
	return bytes;
}

bool merkle_climb(const uint8_t leaf[static SL_HASH_BYTES], uint32_t index, uint32_t size,
		  struct sl_bytes path, uint8_t root[static SL_HASH_BYTES])
{
	if (size > MERKLE_LEAVES_MAX || index >= size) {
		return false;
	}
	memcpy(root, leaf, SL_HASH_BYTES);
	for (size_t level = size; level > 1; level = level_above(level), index /= 2) {
		if (!has_neighbour(index, level)) {
			continue;
		}
		if (path.size < SL_HASH_BYTES) {
			return false;
		}
		put_node(index % 2 == 1 ? path.data : root, index % 2 == 1 ? root : path.data,
			 root);
		path.data += SL_HASH_BYTES;
		path.size -= SL_HASH_BYTES;
	}
	return path.size == 0;
}
