package search

import (
	"encoding/binary"
	"math/bits"
)

// Constants of MurmurHash3_x64_128 (Austin Appleby, public domain).
const (
	murmurC1 = 0x87c37b91114253d5
	murmurC2 = 0x4cf5ad432745937f
)

// Hash returns a fingerprint of data, by MurmurHash3_x64_128 with seed 0. It does
// not allocate, and is the same in every process.
func Hash(data []byte) Fingerprint {
	var h1, h2 uint64
	n := uint64(len(data))
	for len(data) >= 16 {
		h1 ^= murmurK1(binary.LittleEndian.Uint64(data))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= murmurK2(binary.LittleEndian.Uint64(data[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
		data = data[16:]
	}
	if len(data) > 8 {
		h2 ^= murmurK2(tail(data[8:]))
		data = data[:8]
	}
	if len(data) > 0 {
		h1 ^= murmurK1(tail(data))
	}
	h1 ^= n
	h2 ^= n
	h1 += h2
	h2 += h1
	h1 = murmurMix(h1)
	h2 = murmurMix(h2)
	h1 += h2
	h2 += h1
	return Fingerprint{Hi: h1, Lo: h2}
}

// tail reads up to eight bytes.
func tail(b []byte) uint64 {
	if len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	var k uint64
	for i, c := range b {
		k |= uint64(c) << (8 * i)
	}
	return k
}

func murmurK1(k uint64) uint64 { return bits.RotateLeft64(k*murmurC1, 31) * murmurC2 }

func murmurK2(k uint64) uint64 { return bits.RotateLeft64(k*murmurC2, 33) * murmurC1 }

func murmurMix(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}
