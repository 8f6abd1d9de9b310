package crew

// fifo is a first-in first-out queue of tasks.
type fifo struct {
	items []Task
	head  int // items[head:] wait
}

func (q *fifo) len() int { return len(q.items) - q.head }

func (q *fifo) push(t Task) { q.items = append(q.items, t) }

// pop returns nil if nobody waits.
func (q *fifo) pop() Task {
	if q.len() == 0 {
		return nil
	}
	t := q.items[q.head]
	q.items[q.head] = nil
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
