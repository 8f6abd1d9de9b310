package server

// fifo is a first-in first-out queue of connections.
type fifo struct {
	items []*conn
	head  int // items[head:] wait
}

func (q *fifo) len() int { return len(q.items) - q.head }

func (q *fifo) push(c *conn) { q.items = append(q.items, c) }

// pop returns nil if nobody waits.
func (q *fifo) pop() *conn {
	if q.len() == 0 {
		return nil
	}
	c := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 1024 && q.head*2 > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return c
}
