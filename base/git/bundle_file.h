/* bundle_file: one version's content as a file, to be carried where neither Git nor a server is.
 *
 *   "sluice bundle 1\n"              what it is, and of which form
 *   size (4), head                   a sluice.v1.BundleHead: what this is, for who reads it
 *   size (4), commit                 as Git has it, without Git's own header
 *   { size (4), tree }               likewise, one for each part of the path, from the root down
 *   0 (4)
 *   { a file, as in archive.h }      in bytewise order of their paths
 *   0 (4)
 *   BLAKE2b-256 (32)                 of all before it
 *
 * Sizes are big-endian. Ids prove all of it: the commit's is that of the head, each tree's is in
 * what was before it, and the files make the last one. Whoever has a file believes nothing of its
 * head but what a manifest says too. */
#ifndef SL_BASE_GIT_BUNDLE_FILE_H
#define SL_BASE_GIT_BUNDLE_FILE_H

#define BUNDLE_FILE_MAGIC "sluice bundle 1\n"
enum {
	BUNDLE_FILE_MAGIC_BYTES = sizeof(BUNDLE_FILE_MAGIC) - 1,
	BUNDLE_FILE_SIZE_BYTES = 4,
	BUNDLE_FILE_HEAD_MAX = 64 << 10,
	BUNDLE_FILE_OBJECT_MAX = 16 << 20, /* of one commit or tree */
	BUNDLE_FILE_DIGEST_BYTES = 32,
};

#endif
