package io.gradus.backend;

/** Everything a device can do: the primitives and every op group. */
public interface Backend
    extends LinearOps,
        NormalisedConvOps,
        PoolOps,
        EmbeddingOps,
        DropoutOps,
        SoftmaxOps,
        AttentionOps,
        ScanOps,
        ImageOps,
        LossOps,
        OptimOps {}
