/**
 * Layers: a {@link io.gradus.nn.Module} owns named parameters, buffers and children; {@link
 * io.gradus.nn.Sequential} and {@link io.gradus.nn.Residual} compose them; {@link
 * io.gradus.nn.Initializers} fill parameters. Images are NHWC, convolution weights [out, kh, kw,
 * in]. Imports {@code core}, {@code backend} and {@code tensor}.
 */
@NullMarked
package io.gradus.nn;

import org.jspecify.annotations.NullMarked;
