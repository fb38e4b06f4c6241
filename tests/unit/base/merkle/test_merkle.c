/* Trees of every size, and ways that lead elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/merkle/merkle.h"

enum { MAX = MERKLE_LEAVES_MAX, WHOLE = 20 /* sizes of which every bit is turned */ };

struct tree {
	uint32_t size;
	uint8_t nodes[MERKLE_NODES(MAX)][SL_HASH_BYTES];
	uint8_t root[SL_HASH_BYTES];
};

static void put_leaf(uint32_t index, uint8_t *out)
{
	uint8_t salt[MERKLE_SALT_BYTES], digest[SL_HASH_BYTES];
	memset(salt, (int)index, sizeof(salt));
	memset(digest, (int)(255 - index), sizeof(digest));
	merkle_leaf(salt, digest, out);
}

static void grow(struct tree *tree, uint32_t size)
{
	tree->size = size;
	for (uint32_t i = 0; i < size; i++) {
		put_leaf(i, tree->nodes[i]);
	}
	merkle_root(tree->nodes, size, tree->root);
}

static bool leads(const struct tree *tree, const uint8_t *leaf, uint32_t index,
		  struct sl_bytes path)
{
	uint8_t root[SL_HASH_BYTES];
	return merkle_climb(leaf, index, tree->size, path, root) &&
	       memcmp(root, tree->root, SL_HASH_BYTES) == 0;
}

/* By Python's hashlib and RFC 9162's recursive definition: leaf i has a salt of bytes i and a
 * digest of bytes 255 - i. */
static const struct {
	uint32_t size;
	const char *root;
} known[] = {
    {1, "c7f185f19a280dd9952c4fb5df949ada1ecc13ce940f7f7381b2bf756af1bf0a"},
    {2, "72f41e072d2308a6bb546a0f1708a60a970c0fec96f248993126ad61cc4b9034"},
    {3, "141be27c8fbc3f9e7732e7a4ccf9f72553584ae0db19b7210af9d5fc1992b09d"},
    {5, "0b41835cf50907e5bd84d196040c022da1f281ef67814c3313e9bc72b308db8f"},
    {6, "9a08c9e81eefe96e433f1c2d5f0ffefe66e9292bb7aa9f10e4cc1fdae93a7e6a"},
    {7, "b3d62ea119400e3024ba7e9f4efe1e90c79ed9d8199f4413312d59a4524a786f"},
    {8, "3e2a864ebfe030c53e2dbae91acda930ca4b93f498e85d869df1057f6db17c32"},
    {64, "a2c44be1695f60086ff2ad938c77c9dbf01d41d6b0e3ae32138705b9e72fe345"},
    {100, "0d35c5b6cc99df47e630958f551c73a9e4ecb18ad51f9a98c43ecae5e62af75e"},
    {255, "59f38237b9ea36f7e064a53cefa8791b05a02b606fee236bd375d04a6acc336e"},
    {256, "4ab793d8e192e1235417eb2dd47eb9b233765b1dd4c03267d2879a49a0a9b8ea"},
};

static const struct {
	uint32_t index;
	const char *path;
} known_of_7[] = {
    {5, "b0142737da39c57a8d541240a417362a83f3c4ed6d8c7b5331c2b9c890aebb2a"
	"b0885463e9be17974edfe0e4ebcb64284af91bcee9b69f85194ff1b0ef64d1d0"
	"2ce9206714ca754f7e791576a082af357d6305744f6dfb271f4d109554f4bf3a"},
    {6, "2ca9d151163f25439bb0ef01fca7d7f89e81d931b0a5ba4561f8b8f72eff2205"
	"2ce9206714ca754f7e791576a082af357d6305744f6dfb271f4d109554f4bf3a"},
};

static void test_roots_and_paths_are_those_of_another_implementation(void **state)
{
	(void)state;
	struct tree tree;
	char text[2 * MERKLE_PATH_MAX + 1];
	uint8_t path[MERKLE_PATH_MAX];
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		grow(&tree, known[i].size);
		assert_string_equal(sl_hex(text, tree.root, SL_HASH_BYTES), known[i].root);
	}
	grow(&tree, 7);
	for (size_t i = 0; i < sizeof(known_of_7) / sizeof(known_of_7[0]); i++) {
		size_t size = merkle_path(tree.nodes, 7, known_of_7[i].index, path);
		assert_string_equal(sl_hex(text, path, size), known_of_7[i].path);
	}
}

static void test_every_leaf_of_every_size_leads_to_the_root(void **state)
{
	(void)state;
	struct tree tree;
	uint8_t path[MERKLE_PATH_MAX];
	for (uint32_t size = 1; size <= MAX; size++) {
		grow(&tree, size);
		for (uint32_t i = 0; i < size; i++) {
			size_t bytes = merkle_path(tree.nodes, size, i, path);
			assert_true(bytes <= MERKLE_PATH_MAX && (bytes > 0 || size == 1));
			assert_true(leads(&tree, tree.nodes[i], i, SL_BYTES(path, bytes)));
		}
	}
}

static void check_bits(const struct tree *tree, uint32_t index, uint8_t *path, size_t bytes)
{
	uint8_t leaf[SL_HASH_BYTES];
	memcpy(leaf, tree->nodes[index], SL_HASH_BYTES);
	for (size_t bit = 0; bit < 8 * (SL_HASH_BYTES + bytes); bit++) {
		uint8_t *byte =
		    bit / 8 < SL_HASH_BYTES ? leaf + bit / 8 : path + bit / 8 - SL_HASH_BYTES;
		*byte ^= (uint8_t)(1u << bit % 8);
		assert_false(leads(tree, leaf, index, SL_BYTES(path, bytes)));
		*byte ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(leads(tree, leaf, index, SL_BYTES(path, bytes)));
}

static void test_every_bit_and_every_index_counts(void **state)
{
	(void)state;
	struct tree tree;
	uint8_t path[MERKLE_PATH_MAX];
	for (uint32_t size = 1; size <= WHOLE; size++) {
		grow(&tree, size);
		for (uint32_t i = 0; i < size; i++) {
			size_t bytes = merkle_path(tree.nodes, size, i, path);
			check_bits(&tree, i, path, bytes);
			for (uint32_t other = 0; other <= size; other++) {
				assert_true(other == i || !leads(&tree, tree.nodes[i], other,
								 SL_BYTES(path, bytes)));
			}
		}
	}
}

static void test_a_path_has_one_length(void **state)
{
	(void)state;
	struct tree tree;
	uint8_t path[MERKLE_PATH_MAX + SL_HASH_BYTES] = {0};
	for (uint32_t size = 1; size <= MAX; size += size < WHOLE ? 1 : 59) {
		grow(&tree, size);
		for (uint32_t i = 0; i < size; i += 1 + size / WHOLE) {
			size_t right = merkle_path(tree.nodes, size, i, path);
			for (size_t bytes = 0; bytes <= sizeof(path); bytes++) {
				assert_int_equal(
				    leads(&tree, tree.nodes[i], i, SL_BYTES(path, bytes)),
				    bytes == right);
			}
		}
	}
}

static void test_there_is_no_leaf_beyond_the_size_and_no_tree_beyond_the_bound(void **state)
{
	(void)state;
	static const struct {
		uint32_t index, size;
	} rows[] = {{0, 0},       {1, 1},         {UINT32_MAX, 1}, {7, 7},
		    {0, MAX + 1}, {MAX, MAX + 1}, {0, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};
	uint8_t path[(32 + 1) * SL_HASH_BYTES] = {0}, leaf[SL_HASH_BYTES] = {0},
				root[SL_HASH_BYTES];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t hashes = 0; hashes <= 33; hashes++) {
			assert_false(merkle_climb(leaf, rows[i].index, rows[i].size,
						  SL_BYTES(path, hashes * SL_HASH_BYTES), root));
		}
	}
}

/* Whoever could take a node's two halves for salt and digest would have a leaf for each node. */
static void test_a_node_is_no_leaf(void **state)
{
	(void)state;
	struct tree tree;
	uint8_t halves[1 + 2 * SL_HASH_BYTES], hash[SL_HASH_BYTES];
	grow(&tree, 2);
	memcpy(halves + 1, tree.nodes, 2 * SL_HASH_BYTES);
	for (size_t at = 0; at + MERKLE_SALT_BYTES + SL_HASH_BYTES <= sizeof(halves); at++) {
		merkle_leaf(halves + at, halves + at + MERKLE_SALT_BYTES, hash);
		assert_memory_not_equal(hash, tree.root, SL_HASH_BYTES);
	}
	halves[0] = 0; /* nor does the same content hash alike as one and as the other */
	sl_hash(hash, halves, sizeof(halves), NULL, 0);
	assert_memory_not_equal(hash, tree.root, SL_HASH_BYTES);
	halves[0] = 1;
	sl_hash(hash, halves, sizeof(halves), NULL, 0);
	assert_memory_equal(hash, tree.root, SL_HASH_BYTES);
}

static void test_the_same_message_twice_shows_nowhere(void **state)
{
	(void)state;
	const uint8_t salts[2][MERKLE_SALT_BYTES] = {{1}, {2}}, digest[SL_HASH_BYTES] = {3};
	uint8_t leaves[2][SL_HASH_BYTES];
	merkle_leaf(salts[0], digest, leaves[0]);
	merkle_leaf(salts[1], digest, leaves[1]);
	assert_memory_not_equal(leaves[0], leaves[1], SL_HASH_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_roots_and_paths_are_those_of_another_implementation),
	    cmocka_unit_test(test_every_leaf_of_every_size_leads_to_the_root),
	    cmocka_unit_test(test_every_bit_and_every_index_counts),
	    cmocka_unit_test(test_a_path_has_one_length),
	    cmocka_unit_test(test_there_is_no_leaf_beyond_the_size_and_no_tree_beyond_the_bound),
	    cmocka_unit_test(test_a_node_is_no_leaf),
	    cmocka_unit_test(test_the_same_message_twice_shows_nowhere),
	};
	return sl_crypto_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
