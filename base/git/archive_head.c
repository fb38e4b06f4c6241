#include "base/git/archive.h"

#include <string.h>

void git_archive_head(struct sl_buf *buf, const char *path, bool runnable, uint64_t bytes)
{
	uint8_t head[GIT_ARCHIVE_HEAD], middle[GIT_ARCHIVE_MIDDLE] = {runnable};
	sl_put_be32(head, (uint32_t)strlen(path));
	sl_put_be64(middle + 1, bytes);
	sl_buf_append(buf, head, sizeof(head));
	sl_buf_append(buf, path, strlen(path));
	sl_buf_append(buf, middle, sizeof(middle));
}
