package differential

func (w *world) hostile(o op) error { return nil }
