UPDATE owners SET node = ?1, epoch = epoch + 1
