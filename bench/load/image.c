/* An image server: takes JPEG files, makes a smaller, slightly blurred copy of each, and sends it back as JPEG. One
 * thread per connection, on libjpeg, with the buffers such a server allocates: rows, planes, the output.
 *
 *	image SOCKET
 *
 * Request and answer: four bytes of length (little-endian), then the file. Length 0 ends the server. */
#include "common.h"
#include <jpeglib.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

static int listener;

static int read_all(int fd, void *buf, size_t n)
{
	for (char *p = buf; n > 0;) {
		ssize_t k = read(fd, p, n);
		if (k <= 0)
			return 0;
		p += k;
		n -= k;
	}
	return 1;
}

static void write_all(int fd, const void *buf, size_t n)
{
	for (const char *p = buf; n > 0;) {
		ssize_t k = write(fd, p, n);
		check(k > 0, "write");
		p += k;
		n -= k;
	}
}

struct picture {
	int width, height;
	unsigned char **row; /* one allocation each, as image libraries like it */
};

static struct picture *new_picture(int w, int h)
{
	struct picture *p = malloc(sizeof *p);
	p->width = w;
	p->height = h;
	p->row = malloc(h * sizeof *p->row);
	for (int y = 0; y < h; y++)
		p->row[y] = malloc(3 * w);
	return p;
}

static void free_picture(struct picture *p)
{
	for (int y = 0; y < p->height; y++)
		free(p->row[y]);
	free(p->row);
	free(p);
}

static struct picture *decode(const unsigned char *file, size_t n)
{
	struct jpeg_decompress_struct d;
	struct jpeg_error_mgr e;
	d.err = jpeg_std_error(&e);
	jpeg_create_decompress(&d);
	jpeg_mem_src(&d, file, n);
	jpeg_read_header(&d, TRUE);
	d.out_color_space = JCS_RGB;
	jpeg_start_decompress(&d);
	struct picture *p = new_picture(d.output_width, d.output_height);
	while (d.output_scanline < d.output_height)
		jpeg_read_scanlines(&d, &p->row[d.output_scanline], 1);
	jpeg_finish_decompress(&d);
	jpeg_destroy_decompress(&d);
	return p;
}

static struct picture *half(const struct picture *p)
{
	struct picture *q = new_picture(p->width / 2, p->height / 2);
	for (int y = 0; y < q->height; y++)
		for (int x = 0; x < 3 * q->width; x++) {
			int c = x / 3 * 6 + x % 3;
			q->row[y][x] = (p->row[2 * y][c] + p->row[2 * y][c + 3] + p->row[2 * y + 1][c] + p->row[2 * y + 1][c + 3] + 2) / 4;
		}
	return q;
}

static struct picture *blur(const struct picture *p)
{
	struct picture *q = new_picture(p->width, p->height);
	for (int y = 0; y < p->height; y++)
		for (int x = 0; x < 3 * p->width; x++) {
			int left = x >= 3 ? x - 3 : x, right = x < 3 * p->width - 3 ? x + 3 : x;
			q->row[y][x] = (p->row[y][left] + 2 * p->row[y][x] + p->row[y][right]) / 4;
		}
	return q;
}

static void encode(struct picture *p, unsigned char **out, unsigned long *n)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr e;
	c.err = jpeg_std_error(&e);
	jpeg_create_compress(&c);
	*out = NULL;
	*n = 0;
	jpeg_mem_dest(&c, out, n);
	c.image_width = p->width;
	c.image_height = p->height;
	c.input_components = 3;
	c.in_color_space = JCS_RGB;
	jpeg_set_defaults(&c);
	jpeg_set_quality(&c, 80, TRUE);
	jpeg_start_compress(&c, TRUE);
	jpeg_write_scanlines(&c, p->row, p->height);
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint32_t n;
	while (read_all(fd, &n, sizeof n)) {
		if (n == 0) {
			shutdown(listener, SHUT_RDWR); /* wakes accept */
			break;
		}
		unsigned char *file = malloc(n), *out;
		check(read_all(fd, file, n), "a request is cut short");
		struct picture *a = decode(file, n), *b = half(a), *c = blur(b);
		free(file);
		free_picture(a);
		free_picture(b);
		unsigned long len;
		encode(c, &out, &len);
		free_picture(c);
		uint32_t size = len;
		write_all(fd, &size, sizeof size);
		write_all(fd, out, size);
		free(out);
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: image SOCKET\n");
		return 2;
	}
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof a.sun_path, "%s", argv[1]);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	check(bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 64) == 0, "bind");
	int fd;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		pthread_t id;
		check(!pthread_create(&id, NULL, serve, (void *)(intptr_t)fd), "pthread_create");
		pthread_detach(id);
	}
	return 0;
}
