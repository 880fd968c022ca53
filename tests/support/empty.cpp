// A target that only carries precompiled headers still needs a source.
