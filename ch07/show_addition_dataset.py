"""Look at the additions that chapter 7 learns from.

python -m ch07.show_addition_dataset

Source: book 7.2.4.
"""

from common.cli import run, then
from dataset import sequence


def main(data: str = "addition.txt", seed: int = 1984) -> None:
    """Print the shapes of all arrays, and the first pair as ids and as text (book 7.2.4).

    data  addition.txt (book 7.2.2), date.txt (book 8.3.1), or a file with a question, _ and an
          answer in each line
    seed  decides which questions are for testing, and the order; 1984 in the book
    """
    (x_train, t_train), (x_test, t_test) = sequence.load_data(data, seed)
    _, id_to_char = sequence.get_vocab(data)
    print(x_train.shape, t_train.shape)
    print(x_test.shape, t_test.shape)
    print(x_train[0])
    print(t_train[0])
    print(sequence.decode(x_train[0], id_to_char))
    print(sequence.decode(t_train[0], id_to_char))
    then("ch07.train_seq2seq", data=data)


if __name__ == "__main__":
    run(main)
