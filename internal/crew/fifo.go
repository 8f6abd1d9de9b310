package crew

// Fifo is a first-in first-out queue; the zero value is empty.
type Fifo[T any] struct {
	items []T
	head  int // items[head:] wait
}

// Len is how many wait.
func (q *Fifo[T]) Len() int { return len(q.items) - q.head }

// Push adds one at the end.
func (q *Fifo[T]) Push(t T) { q.items = append(q.items, t) }

// Pop takes the first; the zero value if nobody waits.
func (q *Fifo[T]) Pop() (t T) {
	if q.Len() == 0 {
		return t
	}
	var none T
	t, q.items[q.head] = q.items[q.head], none
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 1024 && q.head*2 > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return t
}
