package raftpb

import (
	"fmt"
	"io"
)

// Etcd v3.7 keeps fields that it does not know and counts them when it compares, with a panic, the configuration of a
// snapshot that it received with the one that it made of it. So the fields of ConfState that only we have travel
// beside it. The generated methods, which know nothing of this, go by the names of encodeFields, sizeFields and
// decodeFields.

// snapshotConfNumber is the field of SnapshotMetadata that holds a SnapshotConf.
const snapshotConfNumber = 100

// apart returns m as etcd knows it, and what else there is of its configuration, nil if nothing.
func (m *SnapshotMetadata) apart() (SnapshotMetadata, *SnapshotConf) {
	bare, conf := *m, m.ConfState
	if conf.Index == 0 && len(conf.Members) == 0 && conf.ConfChangeEffect == 0 && conf.Target == nil && conf.LastOutcome == nil {
		return bare, nil
	}
	bare.ConfState = ConfState{
		Voters: conf.Voters, Learners: conf.Learners, VotersOutgoing: conf.VotersOutgoing,
		LearnersNext: conf.LearnersNext, AutoLeave: conf.AutoLeave,
	}
	return bare, &SnapshotConf{
		SnapshotIndex: m.Index, Index: conf.Index, Members: conf.Members,
		ConfChangeEffect: conf.ConfChangeEffect, Target: conf.Target, LastOutcome: conf.LastOutcome,
	}
}

// Size returns the number of bytes that Marshal returns.
func (m *SnapshotMetadata) Size() int {
	if m == nil {
		return 0
	}
	bare, conf := m.apart()
	n := bare.sizeFields()
	if conf != nil {
		size := conf.Size()
		n += sovRaft(snapshotConfNumber<<3) + sovRaft(uint64(size)) + size
	}
	return n
}

// MarshalToSizedBuffer writes m to the end of the buffer and returns the number of bytes.
func (m *SnapshotMetadata) MarshalToSizedBuffer(buffer []byte) (int, error) {
	bare, conf := m.apart()
	start := len(buffer)
	if conf != nil {
		n, err := conf.MarshalToSizedBuffer(buffer)
		if err != nil {
			return 0, err
		}
		start = encodeVarintRaft(buffer, start-n, uint64(n))
		start = encodeVarintRaft(buffer, start, snapshotConfNumber<<3|2)
	}
	n, err := bare.encodeFields(buffer[:start])
	if err != nil {
		return 0, err
	}
	return len(buffer) - start + n, nil
}

// Unmarshal decodes what Marshal or a peer encoded, and adds it to m.
func (m *SnapshotMetadata) Unmarshal(encoded []byte) error {
	if err := m.decodeFields(encoded); err != nil {
		return err
	}
	var conf SnapshotConf
	for len(encoded) > 0 {
		tag, tagSize, err := readVarint(encoded)
		if err != nil {
			return err
		}
		size, err := skipRaft(encoded)
		if err != nil {
			return err
		}
		if size > len(encoded) {
			return io.ErrUnexpectedEOF
		}
		if int32(tag>>3) == snapshotConfNumber {
			if tag&7 != 2 {
				return fmt.Errorf("proto: wrong wireType = %d for SnapshotConf", tag&7)
			}
			_, lengthSize, err := readVarint(encoded[tagSize:size])
			if err != nil {
				return err
			}
			if err := conf.Unmarshal(encoded[tagSize+lengthSize : size]); err != nil {
				return err
			}
		}
		encoded = encoded[size:]
	}
	if conf.SnapshotIndex == m.Index {
		if conf.Index > 0 {
			m.ConfState.Index = conf.Index
		}
		m.ConfState.Members = append(m.ConfState.Members, conf.Members...)
		if conf.ConfChangeEffect != 0 {
			m.ConfState.ConfChangeEffect = conf.ConfChangeEffect
		}
		if conf.Target != nil {
			m.ConfState.Target = conf.Target
		}
		if conf.LastOutcome != nil {
			m.ConfState.LastOutcome = conf.LastOutcome
		}
	}
	return nil
}

// readVarint returns the number with which the bytes begin, and its size. Like the generated code it drops bits beyond
// the 64th.
func readVarint(encoded []byte) (value uint64, size int, err error) {
	for size < len(encoded) {
		if size == 10 {
			return 0, 0, ErrIntOverflowRaft
		}
		b := encoded[size]
		value |= uint64(b&0x7f) << (7 * size)
		size++
		if b < 0x80 {
			return value, size, nil
		}
	}
	return 0, 0, io.ErrUnexpectedEOF
}
