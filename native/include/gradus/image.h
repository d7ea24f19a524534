/* From bytes to the input of a network: normalisation and augmentation of images [height, width, channels] of UINT8.
 *
 * value(pixel, c) = (pixel / 255 - mean[c]) inv_std[c] in float32, each of the three operations rounded to nearest, then once to
 * the type of y. mean and inv_std are FLOAT32 [channels] on the device; absent, they are 0 and 1.
 */
#ifndef GRADUS_IMAGE_H
#define GRADUS_IMAGE_H

#include "gradus/abi.h"

/* Shapes and choices of gr_image_augment; 0 switches a choice off. Host memory. */
typedef struct gr_augment {
  int64_t batch;
  int64_t height, width, channels; /* of the images */
  int64_t out_height, out_width;   /* at most height + 2 padding, width + 2 padding */
  int64_t padding;                 /* pixels around the image from which the crop is taken */
  int64_t reflect;                 /* what lies outside the image: 0 black (pixel 0), 1 the image, reflected without its edge */
  int64_t crop;                    /* 0 from the middle, 1 at a random position */
  int64_t flip;                    /* 1 mirrored left to right with probability 1/2 */
  int64_t translate;               /* moved by up to so many pixels along either axis */
  int64_t cutout;                  /* side of a square whose values become 0 */
  int64_t number;                  /* of the random operation since the seed was set */
} gr_augment;

GR_BEGIN

/* y [batch, out_height, out_width, channels] = value of images [count, height, width, channels] selected by index (INT64
 * [batch], in range), cropped, moved, mirrored, and with a square cut out. FLOAT32, BFLOAT16, FLOAT16.
 * augment: host address of a gr_augment. rng: INT64 [seed, base] on the device; absent where nothing is random.
 *
 * Sample s of the batch has the words w0 to w3 of Philox block 2 s and w4 to w7 of block 2 s + 1, with key rng[0] and counter
 * rng[1] + number. below(w, n) is (w n) >> 32, an integer on [0, n). Each word decides one thing, whatever else is switched on:
 *   top  = crop ? below(w0, spare_h + 1) : spare_h / 2      spare_h = height + 2 padding - out_height
 *   left = crop ? below(w1, spare_w + 1) : spare_w / 2      spare_w = width + 2 padding - out_width
 *   down  = below(w2, 2 translate + 1) - translate          pixels that the image moves down
 *   right = below(w3, 2 translate + 1) - translate          and to the right
 *   mirrored = flip and w4 >> 31
 *   centre row = below(w5, out_height), centre column = below(w6, out_width)       w7 is not used
 * Output pixel (i, j) shows image pixel (i + top - padding - down, j' + left - padding - right), j' = out_width - 1 - j where
 * mirrored, else j. Outside the image it is black, or reflected: coordinate -1 is 1, extent is extent - 2, and so on to and fro.
 * The square is rows centre row - cutout / 2 to centre row - cutout / 2 + cutout - 1 of the output, columns alike, what of it
 * lies within the output; there y is 0.
 * Extents, padding, translate and cutout are below 2^28, an output image has less than 2^30 values. */
int gr_image_augment(int64_t images, int64_t index, int64_t mean, int64_t inv_std, int64_t rng, int64_t y, int64_t augment,
                     int32_t dtype, int64_t stream);

/* y = value of images, both [pixels, channels]. FLOAT32, BFLOAT16, FLOAT16. */
int gr_image_normalise(int64_t images, int64_t mean, int64_t inv_std, int64_t y, int64_t pixels, int64_t channels, int32_t dtype,
                       int64_t stream);

#define GR_IMAGE_FUNCTIONS(F) F(image_augment) F(image_normalise)

GR_END

#endif
